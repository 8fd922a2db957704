// Package netlab holds the proofs of whole systems in several regions: clusters, coordinators,
// keepers, storage and members as processes in the regions of package lab/netlab, whose links are cut, jammed
// and healed under them.
package netlab
