"""Tools of the black-box tests. They share no code with Caseview: what they check is implemented a second time."""
