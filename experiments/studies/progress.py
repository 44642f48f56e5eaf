"""The live line of a sweep: done, failed, rate, time left.  On a terminal it stays in place, else one a minute."""

from __future__ import annotations

import sys
import time

from experiments.studies.batch import Report


class SweepProgress:
    """Counts the trials of a sweep; ``already`` of ``total`` were done before it began."""

    def __init__(self, title: str, total: int, already: int) -> None:
        self.title, self.total, self.already = title, total, already
        self.ended = self.failed = 0
        self.began = self.shown = time.monotonic()
        self.live = sys.stderr.isatty()

    def add(self, report: Report) -> None:
        """Count what ended, and show the line when it is due."""
        self.ended += report.counts.total()
        self.failed += report.counts.total() - report.counts["ok"]
        if time.monotonic() - self.shown > (0.2 if self.live else 60.0):
            self.show()

    def show(self) -> None:
        """Print the line."""
        self.shown = time.monotonic()
        before, after = ("\r\x1b[K", "") if self.live else ("", "\n")
        print(f"{before}{self.line(self.shown - self.began)}", end=after, file=sys.stderr, flush=True)

    def line(self, seconds: float) -> str:
        """The line after so many seconds of work."""
        rate = self.ended / seconds if seconds > 0 else 0.0
        left = self.total - self.already - self.ended
        wait = f"{clock(left / rate)} left" if rate > 0 else "time left unknown"
        return (
            f"{self.title}: {self.already + self.ended:,} of {self.total:,} trials, {self.failed:,} failed, "
            f"{rate:.3g} per second, {wait}"
        )

    def close(self) -> None:
        """Clear the line on a terminal."""
        if self.live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
