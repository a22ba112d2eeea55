"""matplotlib's settings belong to the process: threads that draw do not get each other's."""

from threading import Event, Thread

import matplotlib as mpl

from accent.scoring.style import INK, STYLE, drawing, new_figure


def test_threads_draw_one_after_the_other_and_leave_the_settings_as_they_were():
    before = mpl.rcParams.copy()
    first_is_in, seen = Event(), []

    def second() -> None:
        first_is_in.wait()
        with drawing():
            seen.append(first_is_over.is_set())
            seen.append(mpl.rcParams["text.color"])
            figure = new_figure(2, 1)
            seen.append(figure.get_facecolor()[3])

    first_is_over = Event()
    thread = Thread(target=second)
    thread.start()
    with drawing():
        first_is_in.set()
        thread.join(0.3)  # time in which the second one would come in
        assert not seen
        assert mpl.rcParams["text.color"] == INK
        first_is_over.set()
    thread.join(10)
    assert seen == [True, INK, 0]
    assert {name: before[name] for name in STYLE} == {name: mpl.rcParams[name] for name in STYLE}
