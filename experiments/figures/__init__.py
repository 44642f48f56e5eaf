"""One file per figure; each reads stored results and computes nothing."""
