"""What an environment is like, as facts and as a judgement."""
