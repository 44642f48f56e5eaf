"""The scripts themselves: each finds the command and the last flag before the cursor, and looks up what can follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Rows = Mapping[str, Sequence[str]]

BASH = """\
# rankfloor: completion for bash
_rankfloor() {
    local word=${COMP_WORDS[COMP_CWORD]} at= flag= words= place
    for ((place = 1; place < COMP_CWORD; place++)); do
        case ${COMP_WORDS[place]} in
            --*) flag=${COMP_WORDS[place]} ;;
            =) ;;
            *) if [[ $place == 1 || "$place $at" == "2 lm" ]]; then at="${at:+$at }${COMP_WORDS[place]}"; fi ;;
        esac
    done
    [[ $word == = ]] && word=
    [[ $word == -* ]] && flag=-
    case "$at|$flag" in
ROWS
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _rankfloor rankfloor
"""

ZSH = """\
#compdef rankfloor
# rankfloor: completion for zsh
_rankfloor() {
    local word=${words[CURRENT]} at= flag= found= place
    for ((place = 2; place < CURRENT; place++)); do
        case ${words[place]} in
            --*) flag=${words[place]%%=*} ;;
            *) if [[ $place == 2 || "$place $at" == "3 lm" ]]; then at="${at:+$at }${words[place]}"; fi ;;
        esac
    done
    [[ $word == -* ]] && flag=-
    case "$at|$flag" in
ROWS
    esac
    if [[ -n $found ]]; then compadd -- ${=found}; else _files; fi
}
if [[ ${funcstack[1]} == _rankfloor ]]; then _rankfloor "$@"; else compdef _rankfloor rankfloor; fi
"""

FISH = """\
# rankfloor: completion for fish
function __rankfloor
    set -l at ''
    set -l flag ''
    set -l place 1
    for word in (commandline -opc)[2..-1]
        switch $word
            case '--*'
                set flag (string split -m1 = -- $word)[1]
            case '*'
                if test $place = 1
                    set at $word
                else if test "$place $at" = '2 lm'
                    set at "lm $word"
                end
        end
        set place (math $place + 1)
    end
    string match -q -- '-*' (commandline -ct); and set flag -
    switch "$at|$flag"
ROWS
    end
end
complete -c rankfloor -n 'count (__rankfloor) >/dev/null' -f -a '(__rankfloor)'
"""


def bash(rows: Rows) -> str:
    """For bash 3.2 and newer."""
    return BASH.replace("ROWS", "\n".join(f'        "{key}") words="{" ".join(rows[key])}" ;;' for key in rows))


def zsh(rows: Rows) -> str:
    """For zsh, as a file of its ``fpath`` or evaluated after ``compinit``."""
    return ZSH.replace("ROWS", "\n".join(f'        "{key}") found="{" ".join(rows[key])}" ;;' for key in rows))


def fish(rows: Rows) -> str:
    """For fish 3 and newer."""
    lines = [f"        case '{key}'\n            string split ' ' -- '{' '.join(rows[key])}'" for key in rows]
    return FISH.replace("ROWS", "\n".join(lines))


SHELLS: Mapping[str, Callable[[Rows], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
