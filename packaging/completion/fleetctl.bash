# bash completion for fleetctl. fleetctl itself knows what may come next: see src/fleetctl/complete.h.

_fleetctl() {
  # The line is taken apart anew: bash parts its words at = and :, fleetctl does not.
  local line=${COMP_LINE:0:COMP_POINT} words=() found=() word
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  local current=${words[-1]}

  COMPREPLY=()
  while IFS=$'\t' read -r word _; do
    if [[ $word == :files ]]; then
      mapfile -t found < <(compgen -f -- "${current##*=}")
      compopt -o filenames
      COMPREPLY+=("${found[@]}")
    else
      # What bash replaces begins after the last = or : of the word.
      printf -v word '%q' "${word#"${current%"${current##*[=:]}"}"}"
      COMPREPLY+=("$word")
    fi
  done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
}

complete -F _fleetctl fleetctl
