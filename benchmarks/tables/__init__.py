"""The paper's tables, measured here; the paper's own figures stand beside ours, marked as the paper's."""
