#!/bin/sh
# Drops root for PUID and PGID, so that moved files belong to their owner, and starts the program.
set -eu

# Outside the container others may reach the review page, so it always has a password: a random one if none was set.
make_password() {
    if [ ! -s /state/review_password ]; then
        (umask 077 && head -c 15 /dev/urandom | base64 >/state/review_password) ||
            echo "/state/review_password cannot be written; set PY_IMAGE_DEDUP_REVIEW_PASSWORD_FILE" >&2
    fi
}

# All options of this version with their defaults, beside the configuration, as version 2 wrote it.
write_reference() {
    if [ "${1:-}" = daemon ] && [ -w /state ]; then
        py-image-dedup config reference >/state/py_image_dedup_reference.yaml ||
            echo "/state/py_image_dedup_reference.yaml cannot be written" >&2
    fi
}

if [ "$(id -u)" != 0 ]; then
    make_password
    write_reference "$@"
    exec py-image-dedup "$@"
fi
# Only the state folder changes its owner, and only if needed: the photos are never touched here.
if [ "$(stat -c %u:%g /state)" != "$PUID:$PGID" ] && ! chown "$PUID:$PGID" /state; then
    echo "/state cannot be given to $PUID:$PGID; use --user, or a volume that belongs to them" >&2
fi
make_password
write_reference "$@"
for file in /state/review_password /state/py_image_dedup_reference.yaml; do
    if [ -e "$file" ] && [ "$(stat -c %u:%g "$file")" != "$PUID:$PGID" ]; then
        chown "$PUID:$PGID" "$file" || true
    fi
done
exec setpriv --reuid="$PUID" --regid="$PGID" --clear-groups --no-new-privs py-image-dedup "$@"
