# e2e.sh - what every scenario sources: the pieces in their order.
LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$LIB/common.sh"
. "$LIB/netns.sh"
. "$LIB/tas.sh"
. "$LIB/servers.sh"
