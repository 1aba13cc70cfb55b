"""One self-contained HTML page, the terminal's tables and the model card, all made from a run's figures."""
