"""How volumes become pictures: planes turned for people, grey values and colours, letters and scales."""
