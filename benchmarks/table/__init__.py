"""Tables: methods compared on the same cases; their cells, statistics and the paper's own figures."""
