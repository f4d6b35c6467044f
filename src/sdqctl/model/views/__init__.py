"""What `--format json` writes, as types: the contract with programs (docs/json.md).

Fields are added by new versions; none is renamed, taken away or given another meaning. The text
after a field is its line on the page and in the JSON schema, which `make docs` makes from here.
"""
