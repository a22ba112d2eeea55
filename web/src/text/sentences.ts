/** Sentences to read, our own: each for a named difficulty. The words in which it lies stand between asterisks. */

export interface Difficulty {
  name: { en: string; fr: string };
  hint: { en: string; fr: string };
  sentences: string[]; // from short to long
}

export interface Sentence {
  id: string;
  text: string;
  marked: string; // with the asterisks
  difficulty: Difficulty | null; // none of the corpus's
}

const FRENCH: Record<string, Difficulty> = {
  u: {
    name: { en: "u and ou", fr: "u et ou" },
    hint: {
      en: "u is not ou: say ee, keep the tongue there, and round the lips. For ou the tongue goes back.",
      fr: "u n'est pas ou : dites i, gardez la langue en place et arrondissez les lèvres. Pour ou, la langue recule.",
    },
    sentences: [
      "*Tu* as *tout* *vu* ?",
      "La *rue* est *toute* *rouge*.",
      "*Lulu* *joue* de la *flûte* sous la *lune*.",
      "*Une* *poule* *rousse* a *couru* *sur* le *mur* *pour* *nous* *amuser*.",
    ],
  },
  an: {
    name: { en: "an and on", fr: "an et on" },
    hint: {
      en: "an is open, on is rounded and nearly closed. No n is heard at the end: the nose does it all.",
      fr: "an est ouvert, on est arrondi et presque fermé. On n'entend pas de n à la fin : tout passe par le nez.",
    },
    sentences: [
      "*Mon* *enfant* *chante*.",
      "*On* *attend* le *printemps*.",
      "Mes *parents* *ont* un *pantalon* *blanc* et un *blouson* *marron*.",
      "*Quand* il fait *bon*, *on* *prend* le *temps* de *manger* un *melon* *dans* le *jardin*.",
    ],
  },
  in: {
    name: { en: "in and un", fr: "in et un" },
    hint: {
      en: "in, ain, ein, un: smile a little and let the air go through the nose. No n after the vowel.",
      fr: "in, ain, ein, un : souriez un peu et laissez passer l'air par le nez. Pas de n après la voyelle.",
    },
    sentences: [
      "Le *pain* est *plein* de *grains*.",
      "*Demain* *matin*, je prends le *train*.",
      "Mon *voisin* a *un* *lapin* et *vingt* *poussins*.",
      "*Un* *médecin* *américain* *peint* le *bassin* du *jardin* avec *cinq* *copains*.",
    ],
  },
  r: {
    name: { en: "r", fr: "r" },
    hint: {
      en: "The tip of the tongue stays down behind the lower teeth. The sound is made at the back, softly.",
      fr: "La pointe de la langue reste en bas, derrière les dents. Le son se fait au fond, en douceur.",
    },
    sentences: [
      "*Robert* *arrive* *mardi*.",
      "La *grenouille* *verte* *dort*.",
      "*Marie* *regarde* la *rivière* par la *fenêtre* *ouverte*.",
      "*Trois* *garçons* *très* *sérieux* *traversent* la *grande* *prairie* *après* l'*orage* de *septembre*.",
    ],
  },
  liaison: {
    name: { en: "Liaison", fr: "La liaison" },
    hint: {
      en: "A silent last letter wakes up before a vowel: les z amis, un n oiseau. Join it to the next word.",
      fr: "La dernière lettre muette se réveille devant une voyelle : les z amis, un n oiseau. Collez-la au mot suivant.",
    },
    sentences: [
      "*Nous avons* *deux oranges*.",
      "*Les enfants* sont *chez eux*.",
      "*Mes anciens amis* habitent *dans un* *petit appartement*.",
      "*Vous êtes* *très aimables* de *nous avoir* invités *aux anniversaires* de *vos aînés*.",
    ],
  },
  silent: {
    name: { en: "Silent endings", fr: "Les fins muettes" },
    hint: {
      en: "Most last consonants are written and not said, and so is -ent at the end of a verb.",
      fr: "La plupart des consonnes finales s'écrivent et ne se disent pas, tout comme -ent à la fin d'un verbe.",
    },
    sentences: [
      "Il fait *froid* en *haut*.",
      "Les *chats* *parlent* *trop*.",
      "Mon *grand* frère a *mis* le *plat* *chaud* sur le *drap* *gris*.",
      "Les *gens* du *port* *marchent* *tard* le *soir* et *rentrent* sans *bruit*, un *sac* sur le *dos*.",
    ],
  },
  eu: {
    name: { en: "eu: peu, peur", fr: "eu : peu, peur" },
    hint: {
      en: "peu: say é with rounded lips. peur: the same, with the mouth wider open.",
      fr: "peu : dites é avec les lèvres arrondies. peur : la même chose, la bouche plus ouverte.",
    },
    sentences: [
      "*Deux* *œufs*, s'il vous plaît.",
      "Ma *sœur* a *peur* du *feu*.",
      "Le *jeune* *chanteur* *veut* un *peu* de *beurre*.",
      "Le *professeur* *heureux* *cueille* des *fleurs* *bleues* à *neuf* *heures* et quitte les *lieux*.",
    ],
  },
  e: {
    name: { en: "é and è", fr: "é et è" },
    hint: {
      en: "é is short and tight, and does not glide to ee. è is open, as in bed.",
      fr: "é est bref et tendu, sans glisser vers i. è est ouvert, comme dans mer.",
    },
    sentences: [
      "L'*été*, ma *mère* *rêve*.",
      "*René* a *préféré* la *crème*.",
      "L'*élève* a *répété* le *même* *poème* après la *fête*.",
      "*Hélène* a *acheté* un *vélo* *léger* pour *aller* *près* de la *forêt* avec son *frère* *aîné*.",
    ],
  },
  h: {
    name: { en: "h is silent", fr: "Le h muet" },
    hint: {
      en: "h is never breathed. Before some words it keeps two vowels apart: le héros, les haricots.",
      fr: "Le h ne se souffle jamais. Devant certains mots il sépare deux voyelles : le héros, les haricots.",
    },
    sentences: [
      "L'*hôtel* est *haut*.",
      "Il *habite* dehors en *hiver*.",
      "Le *héros* mange des *haricots* toutes les *heures*.",
      "Par *habitude*, l'*homme* à la *hache* *hésite* une *heure* devant les *harpes* de l'*hôpital*.",
    ],
  },
  gn: {
    name: { en: "gn and ill", fr: "gn et ill" },
    hint: {
      en: "gn is one sound, as in canyon but shorter. -ille is i and y: the tongue touches nothing.",
      fr: "gn est un seul son, la langue à plat contre le palais. -ille se dit i-y : la langue ne touche rien.",
    },
    sentences: [
      "La *fille* *gagne*.",
      "Le *papillon* *brille* au *soleil*.",
      "Ma *famille* se *baigne* près de la *montagne* *ensoleillée*.",
      "En *juillet*, la *vieille* *Espagnole* *accompagne* les *abeilles* dans la *vigne* et *surveille* l'*agneau*.",
    ],
  },
  glide: {
    name: { en: "oi and ui", fr: "oi et ui" },
    hint: {
      en: "oi is wa in one go. For ui start from u with rounded lips, and move fast to i: huit, nuit.",
      fr: "oi se dit wa d'un seul coup. Pour ui, partez de u, lèvres arrondies, et filez vers i : huit, nuit.",
    },
    sentences: [
      "*Voici* la *nuit*.",
      "*Moi*, je *cuis* une *noix* dans l'*huile*.",
      "*Lui* et *moi*, nous *croyons* à la *pluie* de *juin*.",
      "*Puis* le *roi* *suit* *trois* *oiseaux* *noirs* sans *bruit* jusqu'au *puits* du *bois* *voisin*.",
    ],
  },
  rhythm: {
    name: { en: "Rhythm", fr: "Le rythme" },
    hint: {
      en: "Every syllable is as long as the others; only the last one of a group is longer. No stress inside words.",
      fr: "Toutes les syllabes durent autant ; seule la dernière d'un groupe s'allonge. Pas d'accent à l'intérieur des mots.",
    },
    sentences: [
      "C'est une *idée* *extraordinaire*.",
      "Le *restaurant* est *ouvert* le *samedi*.",
      "Il *téléphone* à l'*université* de *Montréal*.",
      "La *température* *moyenne* de la *capitale* *augmente* *régulièrement* à partir du mois de *février*.",
    ],
  },
  chain: {
    name: { en: "Words run together", fr: "L'enchaînement" },
    hint: {
      en: "A last consonant opens the next word: i-l a, u-ne amie. No pause and no catch between words.",
      fr: "La consonne finale ouvre le mot suivant : i-l a, u-ne amie. Ni pause ni coup de gorge entre les mots.",
    },
    sentences: [
      "*Il a* *une amie*.",
      "*Elle arrive* *avec elle*.",
      "*Cette école* *ouvre à* *sept heures* *par habitude*.",
      "*Notre oncle* et *notre amie* *Alice aiment* *faire un* *tour à* *bicyclette entre* *quatre et* *cinq heures*.",
    ],
  },
  ptk: {
    name: { en: "p, t, k without a puff", fr: "p, t, k sans souffle" },
    hint: {
      en: "p, t and k come without a puff of air. Hold a hand before your mouth: you should feel nothing.",
      fr: "p, t et k viennent sans souffle. Mettez la main devant la bouche : vous ne devez rien sentir.",
    },
    sentences: [
      "*Papa* *part* *tôt*.",
      "*Paul* *coupe* le *petit* *pain*.",
      "*Qui* a *caché* la *carte* *postale* sous le *tapis* ?",
      "*Ta* *tante* *Pauline* *prépare* *toujours* *trop* de *pâte* *quand* *Thomas* *téléphone* de *Paris*.",
    ],
  },
  schwa: {
    name: { en: "The e that falls", fr: "Le e qui tombe" },
    hint: {
      en: "In easy speech the e of je, le, de and of samedi goes: sam'di, j'te dis. Let it fall.",
      fr: "Quand on parle sans façon, le e de je, le, de, et de samedi s'en va : sam'di, j'te dis. Laissez-le tomber.",
    },
    sentences: [
      "*Je* *reviens* *samedi*.",
      "Il *ne* *me* *le* donne pas.",
      "*Je* *te* *le* *demande* *seulement* pour *le* *moment*.",
      "*Maintenant*, *je* *me* *demande* *ce* que *le* *médecin* *de* la *petite* ville *te* dira *de* faire.",
    ],
  },
};

const ENGLISH: Record<string, Difficulty> = {
  th: {
    name: { en: "th", fr: "th" },
    hint: {
      en: "Put the tip of the tongue between the teeth: with the voice in this, without it in think.",
      fr: "Mettez la pointe de la langue entre les dents : avec la voix dans this, sans voix dans think.",
    },
    sentences: [
      "I *think* *this* is *theirs*.",
      "*Both* *brothers* were *there* on *Thursday*.",
      "*The* *author* *thanked* *her* *mother* and *father* for *three* *thoughtful* *birthday* *gifts*.",
    ],
  },
  i: {
    name: { en: "ship and sheep", fr: "ship et sheep" },
    hint: {
      en: "sheep is long and tense, ship short and loose: more than length, the tongue drops for ship.",
      fr: "sheep est long et tendu, ship bref et relâché : plus que la durée, c'est la langue qui baisse pour ship.",
    },
    sentences: [
      "These *ships* *need* *three* *seats*.",
      "*Please* *fill* the *deep* *tin* with *cheese*.",
      "The *sick* *sheep* will *eat* *six* *green* *beans* before it *sleeps* in the *big* *field*.",
    ],
  },
  h: {
    name: { en: "h is breathed", fr: "Le h se souffle" },
    hint: {
      en: "A light breath before the vowel: hair is not air. And none where none is written.",
      fr: "Un souffle léger avant la voyelle : hair n'est pas air. Et aucun là où il n'y en a pas.",
    },
    sentences: [
      "*He* *hid* my *hat* in the air.",
      "*How* *hungry* is *her* *heavy* old *horse*?",
      "*Harry* *hopes* to *have* a *house* on a *hill* with an open *hall* and eight *healthy* apple trees.",
    ],
  },
  schwa: {
    name: { en: "The weak vowel", fr: "La voyelle faible" },
    hint: {
      en: "Unstressed vowels shrink to a short uh: banAna, abOUt, phOtograph but phoTOgrapher.",
      fr: "Les voyelles sans accent se réduisent à un eu bref : banAna, abOUt, phOtograph mais phoTOgrapher.",
    },
    sentences: [
      "A *banana* from *Canada*?",
      "*Today* the *photographer* *arrived* *alone*.",
      "The *professor* *forgot* to *mention* an *important* *problem* with the *original* *computer*.",
    ],
  },
  ends: {
    name: { en: "Last consonants", fr: "Les consonnes finales" },
    hint: {
      en: "Say them all, even two or three in a row: asked, months, lived. No extra vowel after them.",
      fr: "Prononcez-les toutes, même deux ou trois de suite : asked, months, lived. Sans voyelle ajoutée après.",
    },
    sentences: [
      "He *asked* for *fresh* *milk*.",
      "*Lots* of *guests* *left* the *desks*.",
      "The *strict* *artist* *lived* six *months* on *soft* *bread* and *helped* the *world's* best *chefs*.",
    ],
  },
  ed: {
    name: { en: "-ed", fr: "-ed" },
    hint: {
      en: "After most sounds -ed is only t or d, no syllable: walked, called. It is a syllable in wanted and needed.",
      fr: "-ed n'est souvent que t ou d, sans syllabe : walked, called. Il fait une syllabe dans wanted et needed.",
    },
    sentences: [
      "She *walked* and *waited*.",
      "They *watched*, *laughed* and *decided* to stay.",
      "We *stopped*, *looked* around, *painted* the fence and *cleaned* what we *needed* before it *rained*.",
    ],
  },
  a: {
    name: { en: "cat, cut, cot", fr: "cat, cut, cot" },
    hint: {
      en: "cat is wide and bright, cut short and central, cot open at the back. Three words, three vowels.",
      fr: "cat est large et clair, cut bref et central, cot ouvert à l'arrière. Trois mots, trois voyelles.",
    },
    sentences: [
      "My *cat* *cut* the *cot*.",
      "The *black* *duck* *hops* on a *lamp*.",
      "*Sam* and his *mother* *got* a *hundred* *apples* and some *hot* *butter* in a *plastic* *cup*.",
    ],
  },
  glide: {
    name: { en: "Moving vowels", fr: "Les voyelles qui bougent" },
    hint: {
      en: "go and day are two vowels in one: they begin open and close on the way.",
      fr: "go et day sont deux voyelles en une : elles commencent ouvertes et se ferment en route.",
    },
    sentences: [
      "*Don't* *go* out *today*.",
      "*Joe* *may* *know* the *whole* *game*.",
      "They *say* it *snows* for *eight* *days*, so the *boats* *wait* *close* to the *old* *stone* *gate*.",
    ],
  },
  r: {
    name: { en: "r and w", fr: "r et w" },
    hint: {
      en: "The tip of the tongue curls up and touches nothing. For w the lips are round and the tongue stays out of it.",
      fr: "La pointe de la langue se relève sans rien toucher. Pour w, seules les lèvres s'arrondissent.",
    },
    sentences: [
      "The *red* *rose* *went* *wrong*.",
      "*Rachel* *rarely* *writes* in the *rain*.",
      "The *wise* *referee* *ran* *around* *every* *corner* of the *wet* *road* *without* a *real* *reward*.",
    ],
  },
  rhythm: {
    name: { en: "Stress and rhythm", fr: "Accent et rythme" },
    hint: {
      en: "Strong syllables come at even beats, long and high; what lies between is squeezed.",
      fr: "Les syllabes fortes tombent à intervalles réguliers, longues et hautes ; le reste se serre entre elles.",
    },
    sentences: [
      "I'd *love* to *come* on *Monday*.",
      "*What* would you *like* for the *end* of the *year*?",
      "The *children* were *hoping* to *travel* by *train*, but the *station* was *closed* in the *middle* of *June*.",
    ],
  },
};

const BY_TARGET: Record<string, Record<string, Difficulty>> = { french: FRENCH, english: ENGLISH };

export const LOCALES: Record<string, string> = { french: "fr", english: "en" };

/** Sentences of the corpus, of which the server has recordings by natives. */
export function corpusSentences(texts: string[]): Sentence[] {
  return texts.map((text) => ({ id: `corpus-${text}`, text, marked: text, difficulty: null }));
}

/** The sentences for a class of the model; none for one of which we have none. */
export function sentencesFor(target: string): Sentence[] {
  return Object.entries(BY_TARGET[target] ?? {}).flatMap(([key, difficulty]) =>
    difficulty.sentences.map((marked, i) => ({
      id: `${LOCALES[target]}-${key}-${i + 1}`,
      text: marked.replaceAll("*", ""),
      marked,
      difficulty,
    })),
  );
}
