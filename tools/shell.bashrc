# Read by the bash that tools/shell starts.
keel_path=$PATH
[ -f ~/.bashrc ] && . ~/.bashrc
PATH=$keel_path
unset keel_path
PS1="(keel ${ENV:-dev}) $PS1"
