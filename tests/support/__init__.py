"""What the black-box tests stand on. Nothing here shares code with Caseview: what is checked is written a second time."""
