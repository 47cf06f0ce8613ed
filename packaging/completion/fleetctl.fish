# fish completion for fleetctl. fleetctl itself knows what may come next: see src/fleetctl/complete.h.

function __fleetctl_complete
    set -l words (commandline --tokenize --current-process --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    for line in ($words[1] __complete $words[2..] "$current" 2>/dev/null)
        if test "$line" = :files
            set -l before (string match --regex -- '^--[^=]*=' "$current")
            set -l begun (string replace --regex -- '^--[^=]*=' '' "$current")
            string replace --regex -- '^' "$before" (__fish_complete_path "$begun")
        else
            echo $line
        end
    end
end

complete --command fleetctl --no-files --arguments '(__fleetctl_complete)'
