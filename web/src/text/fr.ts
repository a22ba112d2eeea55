/** Ce que dit la page, en français. */

import type { Reason, Refusal } from "../engine/refusal";
import type { Texts } from "./en";

export const fr: Texts = {
  locale: "fr",
  title: "Accent : à quel point sonnez-vous natif ?",
  name: { french: "français", english: "anglais" },
  skip: "Aller à la phrase",
  nav: { practise: "S’exercer", progress: "Progrès", about: "Comment ça marche" },
  navLabel: "Pages",
  otherLanguage: "English",
  theme: { light: "Couleurs claires", dark: "Couleurs sombres" },
  intro: (target) =>
    `Lisez une phrase à voix haute et découvrez à quel point votre ${target} se rapproche de celui d’un natif. Votre voix reste dans ce navigateur.`,
  loading: "Préparation de l’oreille …",
  loadFailed: (what) => `La page n’a pas pu charger son modèle (${what}). Rechargez-la, ou revenez avec une connexion.`,
  newVersion: "Une version plus récente de cette page est prête.",
  reload: "Recharger",

  readAloud: "Lisez à voix haute",
  yourText: "Votre texte",
  corpus: "Des enregistrements de natifs",
  writeOwn: "Écrire",
  writeLabel: "Le texte que vous allez lire",
  writePlaceholder: "Tapez ou collez une phrase",
  useText: "Prendre ce texte",
  cancel: "Annuler",
  another: "Une autre phrase",
  choose: "Choisir",
  hearNative: "Écouter un natif",
  hearVoice: "Écouter (voix de synthèse)",

  record: "Enregistrer",
  stop: "Arrêter",
  again: "Recommencer",
  space: "Espace",
  openFile: "Ouvrir un enregistrement",
  microphone: "Micro",
  asking: "Autorisez le micro dans la question du navigateur …",
  listening: "J’écoute. L’arrêt se fait tout seul quand vous avez fini.",
  loudness: { silent: "J’attends votre voix", quiet: "Trop faible", good: "Bon", loud: "Trop fort" },
  scoring: "Écoute de votre prise …",
  scoringShare: (percent) => `Écoute de votre prise, ${percent} faits …`,
  reachedLength: "30 secondes, c’est la prise la plus longue. Voici ce qui a été entendu.",
  wordsNotFound: "Les mots de la phrase n’ont pas été trouvés dans cette prise. Lisez-la encore, telle quelle.",
  wordsOfOwn:
    "Les mots ne peuvent être trouvés que dans les phrases de cette page ; pour ce texte, il n’y a que le son.",
  beganLate:
    "Le micro a démarré en retard : votre premier mot manque peut-être. Recommencez, et parlez quand la ligne bouge.",
  lostDevice: "Le micro a disparu pendant que vous parliez. Voici ce qu’il a entendu avant. Rebranchez-le pour recommencer.",
  problems: {
    denied:
      "Le micro n’est pas autorisé ici. Cliquez sur le symbole à gauche de l’adresse, autorisez-le, puis appuyez de nouveau sur Enregistrer ; ou ouvrez un enregistrement.",
    none: "Aucun micro trouvé. Branchez-en un et appuyez de nouveau sur Enregistrer ; ou ouvrez un enregistrement.",
    busy: "Le micro n’a pas démarré : un autre programme l’occupe peut-être. Fermez-le et appuyez de nouveau sur Enregistrer.",
    lost: "Le micro a disparu. Rebranchez-le et appuyez de nouveau sur Enregistrer.",
    unsupported:
      "Ce navigateur ne laisse pas cette page enregistrer. Ouvrez plutôt un enregistrement, ou prenez un navigateur plus récent (en https).",
  },
  unreadable: (name) =>
    `${name} n’a pas pu être lu comme un son. Ce navigateur lit en général WAV, MP3, M4A, Ogg, FLAC et WebM, entiers et sans protection.`,
  rateAssumed: "Ce fichier n’indique pas sa fréquence d’échantillonnage. Elle a été supposée de 48 000 Hz.",
  tooLongToKeep: "Plus de cinq minutes : évalué, mais pas gardé dans vos progrès.",
  failed: (what) => `Quelque chose a échoué pendant l’écoute (${what}). Rechargez la page et essayez encore.`,
  storageFailed:
    "Ce navigateur n’a pas laissé la page garder la prise. Elle sera perdue quand vous partirez ; exportez-la avant.",

  voices: (of) => {
    const parts = Object.entries(of).map(([label, count], i) => `${count} ${i ? "" : "voix "}en ${fr.name[label] ?? label}`);
    return [parts.slice(0, -1).join(", "), parts.at(-1)].filter(Boolean).join(" et ");
  },
  caution: (voices, low, elsewhere) =>
    `Un premier modèle, pas un juge : il a été testé sur ${voices}${elsewhere ? "" : ", toutes de la source où il a appris"}. ` +
    (low === null
      ? "On ne sait pas à quelle fréquence il a raison entre un natif et un étranger. "
      : `Entre un natif et un étranger, il se peut qu’il n’ait raison que ${low} du temps. `) +
    "Écoutez et comparez ; ne prenez pas son verdict pour une note.",
  verdict: {
    within: "Dans l’étendue des natifs",
    near: "Proche des natifs",
    below: "Pas encore dans l’étendue des natifs",
    elsewhere: "Plutôt une autre langue",
    refused: "Impossible à dire",
  },
  place: (percentile) =>
    percentile >= 99.5
      ? "Aussi natif que n’importe quel enregistrement de natif auquel il a été comparé."
      : percentile < 0.5
        ? "Tous les enregistrements de natifs sont au-dessus."
        : `Au-dessus de ${Math.round(percentile)} enregistrements de natifs sur 100.`,
  stripLabel: (place) => `Votre prise parmi des enregistrements de natifs. ${place}`,
  stripNatives: "natifs",
  stripYou: "vous",
  stripLess: "moins natif",
  stripMore: "plus natif",
  refused: (refusal: Refusal, number) => {
    const { found, needed } = refusal;
    const reasons: Record<Reason, string> = {
      silent: "Aucune parole entendue. Vérifiez que le bon micro est actif.",
      "too little speech": `Seulement ${number(found, 1)} s de parole. Enregistrez au moins ${number(needed)} s.`,
      "too many pauses": `Seulement ${number(found, 1)} s de parole, par bribes. Parlez sans longues pauses.`,
      "too noisy": `Trop de bruit : votre voix est ${number(found)} dB au-dessus du bruit, il en faut ${number(needed)}. Allez dans un endroit plus calme, ou plus près du micro.`,
      clipped: `Saturé : ${number(100 * found, 1)} % du son est coupé au maximum. Baissez le micro, ou éloignez-vous-en.`,
      muffled: `Étouffé : rien au-dessus de ${number(found)} Hz, il en faut ${number(needed)}. Prenez un autre micro, sans casque en mode téléphone.`,
      "unlike speech":
        "Différent des voix claires et seules que le modèle connaît. S’il y avait de la musique ou une autre voix, recommencez sans elle ; sinon, rapprochez-vous du micro, ou prenez-en un autre.",
      "too close to call": "Trop serré pour trancher. Enregistrez un peu plus, ou une autre phrase.",
      unproven: "Rien n’a encore montré que ce modèle distingue les natifs des étrangers ; il ne donne donc pas de verdict.",
    };
    return reasons[refusal.kind];
  },
  next: {
    word: (word) => `Écoutez « ${word} », puis redites la phrase.`,
    stretch: (from, to) => `Écoutez de ${from} à ${to} s, là où c’était le moins natif, puis redites-la.`,
    nothing: "Aucun endroit ne ressort. Redites-la pour une réponse plus sûre, ou prenez une autre phrase.",
    onward: "Bravo. Prenez une autre phrase.",
  },
  change: {
    better: "Mieux que vos trois dernières prises de cette phrase, et de plus que l’écart habituel entre deux prises.",
    worse:
      "Plus bas que vos trois dernières prises de cette phrase, et de plus que l’écart habituel entre deux prises.",
  },
  timeline: "Votre prise dans le temps",
  timelineHelp: "Les flèches déplacent, Entrée écoute à partir de là",
  timelineAt: (seconds) => `${seconds} secondes`,
  leastNative: "Le moins natif",
  stretch: (from, to) => `${from} à ${to} s`,
  words: "Les mots tels que vous les avez dits",
  wordLabel: { good: "", weak: ", moins natif" },
  play: "Écouter",
  pause: "Arrêter",
  whose: { label: "Quelle voix", mine: "Vous", native: "Natif", voice: "Voix de synthèse", both: "Les deux" },
  slow: "Plus lent (¾)",
  details: "Détails",
  languages: "La langue que cela évoque",
  spectrogram: "Spectrogramme : du grave à l’aigu de bas en haut, ce qui est fort ressort",
  spectrogramLabel: (hz) => `Spectrogramme de la prise, jusqu’à ${hz} Hz`,
  firstPiece: (seconds) => `Les ${seconds} premières secondes sont montrées.`,
  measures: "L’enregistrement",
  measureNames: {
    duration_s: "Durée",
    speech_s: "Dont parole",
    loudness_dbfs: "Niveau de la voix",
    snr_db: "Voix au-dessus du bruit",
    clipped_fraction: "Coupé au maximum",
    bandwidth_hz: "Fréquence la plus haute",
    source_rate_hz: "Fréquence d’échantillonnage",
  },
  makeCard: "Faire une carte à partager",
  saveRecording: "Enregistrer le fichier",

  progressTitle: "Vos progrès",
  noTakes: "Pas encore de prise. Enregistrez une phrase, et elle sera encore là demain.",
  kept: (count, size) =>
    `${count} ${count === 1 ? "prise" : "prises"}, ${size}. Gardées dans ce navigateur seulement, jusqu’à ce que vous les effaciez.`,
  export: "Tout exporter",
  import: "Importer",
  deleteAll: "Tout effacer",
  deleteQuestion: "Effacer toutes les prises de ce navigateur ? Exportez-les avant si vous voulez les garder.",
  deleteYes: "Effacer",
  imported: (count, here) =>
    `${count} ${count < 2 ? "prise importée" : "prises importées"}${here ? ` ; ${here} ${here === 1 ? "était" : "étaient"} déjà là` : ""}.`,
  importNotKept: "Ce navigateur n’a pas laissé la page garder ces prises ; aucune n’a été importée.",
  importFailed: (name) => `${name} n’est pas un zip exporté par cette page.`,
  ownText: "Sans texte",
  openedFile: (name) => `Enregistrement : ${name}`,
  chartLabel: (count, best) => `${count} prises notées, de la première à la dernière. La meilleure : ${best}`,
  openTake: "Voir le résultat",
  deleteTake: "Effacer cette prise",
  practiseThis: "S’y exercer",
  takesCount: (count) => `${count} ${count === 1 ? "prise" : "prises"}`,

  cardTitle: "Une carte à partager",
  cardText: "Une image faite sur cet appareil. Elle ne contient aucun enregistrement.",
  cardAlt: (verdict) => `Carte avec la phrase et le verdict : ${verdict}`,
  download: "Enregistrer l’image",
  share: "Partager",
  close: "Fermer",
  cardFoot: (target) => `Accent · ${target}`,

  about: [
    [
      "À quoi elle répond",
      "À quel point les sons de votre enregistrement se rapprochent de ceux de natifs enregistrés de la même façon. Pas si l’on vous comprend, ni votre grammaire.",
    ],
    [
      "Comment",
      "Un réseau de neurones compare les sons de votre prise, un à un, avec ceux de natifs et de locuteurs d’autres langues. Votre prise reçoit une place parmi des enregistrements de natifs ; là où il ne peut pas trancher, il le dit et ne donne aucun chiffre.",
    ],
    [
      "Ce qui reste ici",
      "Tout. Le réseau tourne dans votre navigateur, même hors ligne. Rien de ce que vous dites ou tapez ne quitte cet appareil ; les prises sont gardées dans ce navigateur jusqu’à ce que vous les effaciez.",
    ],
    [
      "De quoi se méfier",
      "Une prise courte dit peu : trois phrases en disent plus qu’une. Un mauvais micro sonne comme un accent. Deux prises diffèrent toujours un peu ; la page ne dit donc mieux que lorsque l’écart est plus grand.",
    ],
  ],
  aboutTitle: "Comment ça marche",
  licences: "Licences des polices et bibliothèques de cette page",
  evidence: (voices, clips, auc, interval) =>
    `Ce modèle a été testé sur ${clips} enregistrements (${voices}) de personnes qu’il n’avait jamais entendues. ` +
    `Entre un natif et un étranger, il a reconnu le natif ${auc} du temps ` +
    (interval
      ? `(intervalle à 95 % : de ${interval[0]} à ${interval[1]}).`
      : "(pour si peu de voix, l’intervalle n’est pas connu)."),
};
