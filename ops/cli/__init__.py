"""The operator command `./keel`: one file per group of commands, each importing what it needs when it runs."""
