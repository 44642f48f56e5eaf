"""An interrupt ends a hunt wherever it comes, also where the garbage collector would ignore it."""

from __future__ import annotations

import gc
import signal
import threading

import pytest

from theory.falsify import falsify
from theory.falsify.interrupt import Interrupts

EXAMPLES = 40


@pytest.fixture
def hearing():
    """Interrupts raise ``KeyboardInterrupt``, as in a program of its own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def interrupted_collection():
    """The next collection of garbage is interrupted, inside a function that a callback calls."""
    pending = [True]

    def interrupt():
        if pending:
            pending.pop()
            signal.raise_signal(signal.SIGINT)

    def callback(phase, details):
        interrupt()

    gc.callbacks.append(callback)
    yield
    gc.callbacks.remove(callback)
    assert not pending


def collecting(distribution, spec):
    """A claim, after a collection."""
    gc.collect()


@pytest.mark.usefixtures("hearing", "interrupted_collection")
def test_an_interrupt_of_a_collection_ends_the_hunt():
    outcome = falsify(collecting, examples=EXAMPLES)
    assert outcome.interrupted
    assert outcome.examples < EXAMPLES


@pytest.mark.usefixtures("hearing", "interrupted_collection")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_would_be_lost(monkeypatch):
    """The twin: without the care taken, the hunt goes on to the end of its budget."""
    monkeypatch.setattr(Interrupts, "__enter__", lambda self: self)
    outcome = falsify(collecting, examples=EXAMPLES)
    assert not outcome.interrupted
    assert outcome.examples == EXAMPLES


@pytest.mark.usefixtures("hearing", "interrupted_collection")
def test_one_that_nobody_asked_for_is_raised_on_leaving():
    interrupts, passed = Interrupts(), []

    def work():
        with interrupts:
            gc.collect()
            passed.append("the collection")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert passed == ["the collection"]
    interrupts.check()  # it was raised once


@pytest.mark.usefixtures("hearing")
def test_any_other_interrupt_is_raised_at_once():
    def interrupting(distribution, spec):
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not reached")

    assert falsify(interrupting, examples=EXAMPLES).examples == 1


def test_a_program_that_handles_interrupts_is_left_alone():
    heard = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            interrupts.check()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]


@pytest.mark.usefixtures("hearing")
def test_a_hunt_in_another_thread_sets_no_handler():
    found = []
    thread = threading.Thread(target=lambda: found.append(falsify(collecting, examples=5).examples))
    thread.start()
    thread.join()
    assert found == [5]
