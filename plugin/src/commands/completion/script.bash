# Completion of kubectl-k0smotron, called by that name, for bash 4.4 or later:
#   source <(kubectl-k0smotron completion bash)

_kubectl_k0smotron() {
    # bash takes words apart at = and :, which flags and contexts have inside.
    local rest=${COMP_LINE:0:COMP_POINT} before word i
    local -a words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        before=$rest
        rest=${rest#"${rest%%[![:space:]]*}"}
        word=${COMP_WORDS[i]}
        ((i < COMP_CWORD)) || word=$rest
        if ((${#words[@]} > 0)) && [[ $before == "$rest" ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        rest=${rest#"$word"}
    done
    # Names are asked for without the quotes that they have on the line.
    words=("${words[@]//\\/}")

    local program
    program=$(type -P -- "${1/#\~\//$HOME/}") || program=kubectl-k0smotron
    local -a lines=()
    mapfile -t lines < <(command "$program" __complete "${words[@]:1}" 2>/dev/null)
    COMPREPLY=()
    ((${#lines[@]} > 0)) || return 0
    if [[ ${lines[-1]} == :0 ]]; then
        compopt -o default
        return 0
    fi
    unset 'lines[-1]'

    # Only what follows the last = or : is replaced.
    local typed=${words[-1]} tail
    tail=$typed
    [[ $COMP_WORDBREAKS != *=* ]] || tail=${tail##*=}
    [[ $COMP_WORDBREAKS != *:* ]] || tail=${tail##*:}
    # An @ is where hosts begin, and goes with what follows.
    [[ $COMP_WORDBREAKS != *@* || $tail != *@* ]] || tail=@${tail##*@}
    local stays=${typed%"$tail"} line
    for line in "${lines[@]}"; do
        word=${line%%$'\t'*}
        word=${word#"$stays"}
        # Others choose names, and bash would read them as commands.
        [[ -z $word ]] || printf -v word %q "$word"
        COMPREPLY+=("$word")
    done
    # More has to follow a word like --for=nodes=.
    [[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace
}

complete -F _kubectl_k0smotron kubectl-k0smotron
