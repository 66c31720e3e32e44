"""Generated volumes compared: the paper's Tables II, III and IV and its Fig. 6, on data and weights of the user's."""
