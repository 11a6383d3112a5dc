"""The detect step: summaries into panes, panes into findings, findings into episodes and triggers, all in one transaction with the offsets."""
