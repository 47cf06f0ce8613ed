#compdef fleetctl
# zsh completion for fleetctl. fleetctl itself knows what may come next: see src/fleetctl/complete.h.

_fleetctl() {
  local line
  local -a candidates
  local -i files=0
  for line in "${(@f)$("${words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ $line == :files ]]; then
      files=1
    elif [[ -n $line ]]; then
      # _describe parts a word from its description at the first colon that is not escaped.
      line=${line//\\/\\\\}
      line=${line//:/\\:}
      candidates+=("${line/$'\t'/:}")
    fi
  done
  (( $#candidates )) && _describe fleetctl candidates
  (( files )) && { compset -P '*='; _files }
}

_fleetctl "$@"
