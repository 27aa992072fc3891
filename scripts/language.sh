#!/usr/bin/env bash
# Refuses phrases that a reader has to read twice; CONTRIBUTING.md says what to write instead.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

found=no

# refuse WHERE PATTERN ADVICE: WHERE is a list of pathspecs, PATTERN an extended regular expression.
refuse() {
  local -a where
  read -r -a where <<<"$1"
  local lines
  lines=$(git grep -nE -e "$2" -- "${where[@]}" ':!scripts/language.sh' ':!CONTRIBUTING.md') || return 0
  printf '%s\n  %s\n' "$lines" "$3"
  found=yes
}

refuse '*.rs' '^ *//[/!] (What|Of|That|Whether|So|Where|Who|How|Which|Why|When|As|From|Like|By) ' \
  'a doc comment is a full sentence whose subject is the item: "Returns ...", "Maximum number of ..."'
refuse '*.rs *.md *.sh check demo' '[Ww]hoever|\b[Nn]obody|\b[Ss]o (many|much)\b|\banew\b|gone on with|go(es)? on with' \
  'write who or what it is, a number, "again", "resumed"'
refuse '*.rs *.md' '(asked for|announced|sent|set) was\b|\b(it|that) is said\b' \
  'write "expected X, found Y", or who says it'
refuse '*.rs' '\bgo(es)? on\b|\bcomes? back\b|\bstands? (in|at|before|after|beside|there)\b|\bbegun anew\b' \
  'write "continues", "is returned", "is in"'
refuse '*.rs' '\b(is|are|was|were) told\b|/// *Told\b' 'write "is alerted", "is refused", "receives"'
refuse '*.rs' '(struct|enum|type) (Found|Proven|Whole|Work|Links|Names|Ends)\b' \
  'name the type after what it holds: "FoundVersion", "WholeReason"'

refuse '*.rs *.md :!testdata' '\b[Ll]ook(s|ed|ing)? (at|into)\b' \
  'write "read", "examine", "check" or "observe"'

refuse '*.md :!docs/glossary.md :!testdata' '\b[Ff]olders?\b' 'write "directory"; the bucket has prefixes'
refuse '*.rs' '//.*\b[Ff]olders?\b' 'write "directory"'

[[ $found == no ]]
