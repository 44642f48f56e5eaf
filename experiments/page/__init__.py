"""One self-contained HTML page of a study: verdicts, figures, tables that sort, provenance.  No network, no server."""

from experiments.page.assemble import Page, page_of

__all__ = ["Page", "page_of"]
