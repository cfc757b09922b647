"""`make mutants`: change the code at one place, run the tests that reach it, see whether one fails."""
