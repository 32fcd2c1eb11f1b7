#compdef kubectl-k0smotron
# Completion of kubectl-k0smotron, called by that name, for zsh:
#   source <(kubectl-k0smotron completion zsh)
# or as a file _kubectl-k0smotron in a folder of $fpath.

_kubectl-k0smotron() {
    local program=${(Q)words[1]/#\~\//$HOME/} line word about
    whence -p -- "$program" >/dev/null || program=kubectl-k0smotron
    local -a lines whole open
    lines=("${(@f)$(command "$program" __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    if [[ ${lines[-1]} == :0 ]]; then
        # The file is what follows --flag=.
        compset -P '--*='
        _files
        return
    fi
    for line in "${(@)lines[1,-2]}"; do
        word=${${line%%$'\t'*}//:/\\:}
        about=${line#*$'\t'}
        [[ $line != *$'\t'* ]] || word+=:$about
        # More has to follow a word like --for=nodes=.
        if [[ ${line%%$'\t'*} == *= ]]; then open+=("$word"); else whole+=("$word"); fi
    done
    local found=1
    (( $#whole )) && _describe 'kubectl-k0smotron' whole && found=0
    (( $#open )) && _describe 'kubectl-k0smotron' open -S '' && found=0
    return found
}

# As a file of $fpath it is called at once; sourced, it is registered.
if [[ ${funcstack[1]} == _kubectl-k0smotron ]]; then
    _kubectl-k0smotron "$@"
else
    compdef _kubectl-k0smotron kubectl-k0smotron
fi
