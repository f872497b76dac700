# SPDX-License-Identifier: Apache-2.0
# bash completion of vivofs: commands, -o options (as `vivofs --help` has them), formats,
# and in an expression the keywords most asked for, then values that mounted archives
# know without asking anybody. Put it where bash-completion looks,
# ~/.local/share/bash-completion/completions/vivofs, or source it.

_vivofs_keywords="
    AccessionNumber AcquisitionDate Archive BitsAllocated BodyPartExamined
    BurnedInAnnotation Collection Columns ContrastBolusAgent ConvolutionKernel
    DiffusionBValue EchoTime FetchState FlipAngle FrameCount FrameOfReferenceUID
    ImageOrientationPatient ImageType InstanceCount InstanceNumber InstitutionName
    IssuerOfPatientID KVP Laterality License MRAcquisitionType MagneticFieldStrength
    Manufacturer ManufacturerModelName ModalitiesInStudy Modality NumberOfFrames
    NumberOfPatientRelatedStudies NumberOfSeriesRelatedInstances
    NumberOfStudyRelatedInstances NumberOfStudyRelatedSeries PatientAge
    PatientBirthDate PatientID PatientName PatientPosition PatientSex PatientWeight
    PixelSpacing Plane ProtocolName RefersTo RepetitionTime Rows SOPClassUID
    SOPInstanceUID ScanningSequence SeriesBytes SeriesDate SeriesDescription
    SeriesInstanceUID SeriesNumber SliceThickness SoftwareVersions StudyDate
    StudyDay StudyDescription StudyID StudyInstanceUID StudyRank StudyTime
    ViewPosition"
_vivofs_words="and or not has missing any in between like patient( study( series("

# "name " or "name=" of every option of -o; names of the commands.
_vivofs_options() {
    vivofs --help 2>/dev/null | sed -n '/^Options of -o/,$s/^  \([a-z_]*\)\(=\{0,1\}\)[A-Z: ].*/\1\2/p'
}
_vivofs_commands() {
    vivofs --help 2>/dev/null | sed -n '/^Options/q;s/^  \([a-z][a-z]*\)  *[a-z].*/\1/p'
}

_vivofs_deid() {
    vivofs deid --list 2>/dev/null | sed -n 's/^ *\([a-z][a-z-]*\).*/\1/p'
}

_vivofs_presets() {
    vivofs archives --format csv 2>/dev/null | sed -n '2,$s/^\([A-Za-z0-9_-]*\),.*/\1/p'
}

# A file, or the name of a preset, with `name=` before it or not.
_vivofs_source() {
    local word=$1 head=
    [[ $word == *=* ]] && head=${word%%=*}=
    COMPREPLY=($(compgen -W "$(_vivofs_presets)" -- "${word#"$head"}")
        $(compgen -f -- "${word#"$head"}"))
    _vivofs_prefix "$head"
    _vivofs_cut "$word"
}

# The value after `name=` of the option that is being typed.
_vivofs_option_value() {
    local name=${1%%=*} value=${1#*=}
    case $name in
    deid)
        local head=
        [[ $value == *+* ]] && head=${value%+*}+
        COMPREPLY=($(compgen -P "$head" -W "basic none strict $(_vivofs_deid)" -- "${value##*+}"))
        ;;
    burned_in) COMPREPLY=($(compgen -W "refuse strict allow" -- "$value")) ;;
    refused) COMPREPLY=($(compgen -W "list hide" -- "$value")) ;;
    names) COMPREPLY=($(compgen -W "own uid tcia idc xnat" -- "$value")) ;;
    size) COMPREPLY=($(compgen -W "lazy exact" -- "$value")) ;;
    list) COMPREPLY=($(compgen -f -P "${value%%:*}:" -- "${value#*:}")) ;;
    *) COMPREPLY=($(compgen -f -- "$value")) ;;
    esac
}

# What stands before the last `=`, `:` or `,` of the word is kept as typed.
_vivofs_prefix() {
    local prefix=$1 i
    for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=$prefix${COMPREPLY[i]}; done
}

# readline parts words at these itself, and wants only what comes after.
_vivofs_cut() {
    local word=$1 i breaks=${COMP_WORDBREAKS//[^=:]/}
    [[ -n $breaks && $word == *[$breaks]* ]] || return 0
    local before=${word%"${word##*[$breaks]}"}
    for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=${COMPREPLY[i]#"$before"}; done
}

_vivofs_option() {
    local word=$1 head= last=$1
    [[ $word == *,* ]] && head=${word%,*}, last=${word##*,}
    if [[ $last == *=* ]]; then
        _vivofs_option_value "$last"
        _vivofs_prefix "$head${last%%=*}="
    else
        COMPREPLY=($(compgen -W "$(_vivofs_options)" -- "$last"))
        _vivofs_prefix "$head"
    fi
    compopt -o nospace 2>/dev/null
    _vivofs_cut "$word"
}

_vivofs_mounts() {
    awk '$3 ~ /^fuse\.vivofs/ {print $2}' /proc/self/mounts
}

# Values of a keyword in what is mounted, a line each, as far as catalogs answer by
# themselves: `.explain` asks nobody, and tells whether listing the facet would. Whatever
# hangs, two seconds (VIVOFS_COMPLETION_SECONDS) are the end of it. Values with `*`, `?`
# or quotes are left to typing.
_vivofs_values() {
    timeout "${VIVOFS_COMPLETION_SECONDS:-2}" bash -c 'shopt -s nullglob
        for at in "${@:2}"; do for archive in "$at"/*/; do
            grep -qs "answers all of it" "${archive}q/has $1/.explain" &&
                ls -- "${archive}by/$1" 2>/dev/null
        done; done' - "$1" $(_vivofs_mounts) |
        grep -v -e "[]['\"*?\\\\]" -e '^_missing$' -e '%\*$' | sort -u
}

# What of a value must stand in quotes of the expression: those that the shell's are not.
_vivofs_value() {
    local mark=\"
    [[ $_vivofs_quote == \" ]] && mark=\'
    if [[ $1 == *[\ \(\),=\!\<\>~\&\|]* ]]; then
        printf '%s' "$mark$1$mark"
    else
        printf '%s' "$1"
    fi
}

# The line as the shell will read it: words before, the one under way without its quotes,
# the quote that is open, and how much of that word readline leaves as it is.
_vivofs_parse() {
    local line=$1 i c
    _vivofs_before=() _vivofs_word= _vivofs_quote= _vivofs_from=0
    for ((i = 0; i < ${#line}; i++)); do
        c=${line:i:1}
        if [[ -n $_vivofs_quote && $c == "$_vivofs_quote" ]]; then
            _vivofs_quote= _vivofs_from=${#_vivofs_word}
        elif [[ $c == \\ && $_vivofs_quote != \' ]]; then
            ((++i))
            _vivofs_word+=${line:i:1}
        elif [[ -n $_vivofs_quote ]]; then
            _vivofs_word+=$c
        elif [[ $c == [\'\"] ]]; then
            _vivofs_quote=$c _vivofs_from=${#_vivofs_word}
        elif [[ $c == [[:space:]] ]]; then
            [[ -n $_vivofs_word ]] && _vivofs_before+=("$_vivofs_word")
            _vivofs_word= _vivofs_from=0
        else
            _vivofs_word+=$c
            [[ $COMP_WORDBREAKS == *"$c"* ]] && _vivofs_from=${#_vivofs_word}
        fi
    done
}

_vivofs_ops=("=" "!=" "<" "<=" ">" ">=" "~" " in (" " between ")

# Keywords without case, behind whatever of the expression is there; then operators, then
# values; after a condition what joins it to the next.
_vivofs_expression() {
    local text=$_vivofs_word k i
    local value='^(.*[ (,&|!])?([A-Za-z]+)(=|!=)("[^"]*|'"'[^']*|[^]\"' (),=&|!]*)"'$'
    if [[ $text =~ $value ]]; then
        local head=${BASH_REMATCH[1]}${BASH_REMATCH[2]}${BASH_REMATCH[3]}
        local key=${BASH_REMATCH[2]} typed=${BASH_REMATCH[4]#[\'\"]}
        while IFS= read -r k; do
            [[ ${k,,} == "${typed,,}"* ]] && COMPREPLY+=("$head$(_vivofs_value "$k")")
        done < <(_vivofs_values "$key")
    elif [[ $text == *[!\ ]\  && ! $text =~ (^|\ )(and|or|not|in|between|has|missing)\ $ ]]; then
        COMPREPLY=("${text}and" "${text}or")
    else
        local last=${text##*[ (,&|!]}
        local head=${text%"$last"}
        for k in $_vivofs_keywords $_vivofs_words; do
            [[ ${k,,} == "${last,,}"* && -n $last ]] && COMPREPLY+=("$head$k")
        done
        # One keyword is followed by what can be asked of it, so that no quote is closed.
        if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]#"$head"} == [A-Z]* ]]; then
            k=${COMPREPLY[0]}
            COMPREPLY=("${_vivofs_ops[@]/#/$k}")
        fi
        compopt -o nospace 2>/dev/null
    fi
    for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=${COMPREPLY[i]:_vivofs_from}; done
}

# Is the expression of `query` still to come?
_vivofs_asks() {
    local i skip=0 word
    for word in "${@:3}"; do
        if ((skip)); then
            skip=0
        elif [[ $word == -o || $word == --format ]]; then
            skip=1
        else
            return 1
        fi
    done
    return 0
}

_vivofs() {
    COMPREPLY=()
    local line=${COMP_LINE:0:COMP_POINT}
    local word=${line##*[[:space:]]}
    local -a words
    read -ra words <<<"${line%"$word"}"
    local before=${words[-1]}
    if ((${#words[@]} == 1)); then
        COMPREPLY=($(compgen -W "$(_vivofs_commands) --help" -- "$word"))
        return
    fi
    case $before in
    -o) _vivofs_option "$word" && return ;;
    --format)
        local formats="paths csv json tree count"
        [[ ${words[1]} == archives ]] && formats="table csv json"
        COMPREPLY=($(compgen -W "$formats" -- "$word")) && return
        ;;
    --kind) COMPREPLY=($(compgen -W "patient uid offset" -- "$word")) && return ;;
    --cache | --key | --audit | --filter | --pixels | -c)
        COMPREPLY=($(compgen -f -- "$word"))
        return
        ;;
    --burned-in) COMPREPLY=($(compgen -W "refuse strict allow" -- "$word")) && return ;;
    --profile) COMPREPLY=($(compgen -W "basic strict" -- "$word")) && return ;;
    esac
    case ${words[1]}:$word in
    query:-*) COMPREPLY=($(compgen -W "-o --format --explain" -- "$word")) ;;
    mount:-*) COMPREPLY=($(compgen -W "-f -c -o" -- "$word")) ;;
    pseudonym:-*) COMPREPLY=($(compgen -W "--key --kind --issuer" -- "$word")) ;;
    fetch:-*) COMPREPLY=($(compgen -W "-j" -- "$word")) ;;
    cache:-*) COMPREPLY=($(compgen -W "--cache --keep" -- "$word")) ;;
    cache:*) COMPREPLY=($(compgen -W "status verify trim clear" -- "$word")) ;;
    bugreport:* | version:*) ;;
    status:* | umount:*) COMPREPLY=($(compgen -W "$(_vivofs_mounts)" -- "$word")) ;;
    deid:-*) COMPREPLY=($(compgen -W "--profile --key --burned-in --pixels --filter --audit --media -j --list" -- "$word")) ;;
    query:*)
        _vivofs_parse "$line"
        if _vivofs_asks "${_vivofs_before[@]}"; then
            _vivofs_expression
        else
            _vivofs_source "$word"
        fi
        ;;
    archives:-*) COMPREPLY=($(compgen -W "--format" -- "$word")) ;;
    archives:* | login:*) COMPREPLY=($(compgen -W "$(_vivofs_presets)" -- "$word")) ;;
    mount:* | doctor:*) _vivofs_source "$word" ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
    esac
}

complete -o filenames -o bashdefault -F _vivofs vivofs
