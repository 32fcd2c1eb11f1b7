# Completion of kubectl-k0smotron, called by that name, for fish 3.4 or later:
#   kubectl-k0smotron completion fish | source
# or as a file kubectl-k0smotron.fish in ~/.config/fish/completions.

function __kubectl_k0smotron_complete
    set -l before (commandline -opc)
    set -l typed (commandline -ct)
    set -l program $before[1]
    command -q -- $program; or set program kubectl-k0smotron
    set -l lines (command $program __complete $before[2..] "$typed" 2>/dev/null)
    test (count $lines) -gt 0; or return
    if test "$lines[-1]" = :0
        # The file is what follows --flag=.
        set -l flag (string match -r -- '^--[^=]*=' $typed)
        set -l file (string replace -r -- '^--[^=]*=' '' $typed)
        for found in (__fish_complete_path "$file")
            printf '%s%s\n' "$flag" $found
        end
        return
    end
    printf '%s\n' $lines[1..-2]
end

complete -c kubectl-k0smotron -f -a '(__kubectl_k0smotron_complete)'
