#!/bin/sh
# BAC-35: the logical dumps of every product now, as cron makes them: `ENV=staging scripts/backup_database.sh`. What is done is
# logged on the backup host (/var/log/keel/dumps.log); a failure ends with its reason and a status that is not zero.
set -eu
cd "$(dirname "$0")/.."
exec ./keel --env "${ENV:-dev}" backup run --type dumps
