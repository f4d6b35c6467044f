# Runs the workflow. A run that waits for a human is no failure: the output `status` tells.
set -uo pipefail
given=()
while IFS= read -r line; do
  [ -z "$line" ] || given+=("$line")
done <<<"$ARGUMENTS"
[ -z "$ANSWER" ] || given+=("--answer=$ANSWER")
[ -z "$RECIPIENT" ] || given+=("--state-recipient=$RECIPIENT")
mkdir -p "$(dirname "$STATE")"
code=0
# One stream, so that the log has its lines in their order.
sdqctl run "$WORKFLOW" --ci --state "$STATE" --junit "$JUNIT" ${given[@]+"${given[@]}"} 2>&1 || code=$?
case $code in
  0) status=completed ;;
  8) status=paused ;;
  75) status=busy ;;
  *) status=failed ;;
esac
{
  echo "status=$status"
  echo "exit-code=$code"
  echo "junit=$JUNIT"
} >>"$GITHUB_OUTPUT"
[ "$code" = 8 ] || exit "$code"
