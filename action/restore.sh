# Fetches the newest state of the session on this branch, from whatever run or attempt it is.
set -euo pipefail
mkdir -p "$(dirname "$STATE")"
listed=$(gh api "repos/$GITHUB_REPOSITORY/actions/artifacts?name=$NAME&per_page=100")
run=$(python3 "$GITHUB_ACTION_PATH/newest.py" "$NAME" "${GITHUB_HEAD_REF:-$GITHUB_REF_NAME}" <<<"$listed")
if [ -z "$run" ]; then
  echo "there is no state $NAME of this branch: a new session begins"
else
  gh run download "$run" --repo "$GITHUB_REPOSITORY" --name "$NAME" --dir "$(dirname "$STATE")"
fi
