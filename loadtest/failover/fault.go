package failover

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"mahavishnu/fault"
)

// Fault is what happens to the machine of the primary.
type Fault string

// The faults.
const (
	// Killed: every process of PostgreSQL, with SIGKILL. The keeper beside it lives.
	Killed Fault = "killed"
	// MachineKilled: everything on the machine, with SIGKILL: PostgreSQL, the keeper with
	// its coordinator and its watchdog, and the NATS server.
	MachineKilled Fault = "machine"
	// Frozen: all of that stopped with SIGSTOP. It wakes up when the machine is healed.
	Frozen Fault = "frozen"
	// Isolated: nothing leaves the machine and nothing arrives, and nobody is told.
	Isolated Fault = "isolated"
	// DiskStalled: the disk with the data directory and the keeper's state takes no more
	// writes, and lets whoever writes hang.
	DiskStalled Fault = "disk-stalled"
)

// Faults are all of them.
func Faults() []Fault { return []Fault{Killed, MachineKilled, Frozen, Isolated, DiskStalled} }

// takesLeader reports whether a coordinator on the machine is lost, too.
func (f Fault) takesLeader() bool { return f == MachineKilled || f == Frozen || f == Isolated }

// about says what a fault is, for reports.
func (f Fault) about() string {
	return map[Fault]string{
		Killed:        "all processes of PostgreSQL killed; the keeper beside them lives",
		MachineKilled: "everything on the primary's machine killed: PostgreSQL, keeper, coordinator, watchdog, NATS server",
		Frozen:        "all of that stopped (SIGSTOP), and woken after the failover",
		Isolated:      "every packet to and from the primary's machine lost, in silence",
		DiskStalled:   "the file system of the data directory and the keeper's state frozen (fsfreeze), and thawed after the failover",
	}[f]
}

// ParseFaults reads the names of faults.
func ParseFaults(names []string) ([]Fault, error) {
	var all []Fault
	for _, name := range names {
		f := Fault(name)
		if !slices.Contains(Faults(), f) {
			return nil, fault.New("measure failover after", name, errors.New("there is no such fault"), fmt.Sprintf("choose among %v", Faults()))
		}
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return nil, fault.New("measure failover", "", errors.New("no fault is named"), fmt.Sprintf("choose among %v", Faults()))
	}
	return all, nil
}

// possible refuses faults that this user or this system cannot make.
func possible(faults []Fault, isolates bool, why error) error {
	if slices.Contains(faults, DiskStalled) && os.Geteuid() != 0 {
		return fault.New("measure failover after", string(DiskStalled), errors.New("only root can mount a file system and freeze it"), "run as root, or leave this fault out with --fault")
	}
	if slices.Contains(faults, Isolated) && !isolates {
		return fault.New("measure failover after", string(Isolated), why, "run as root, on Linux with network namespaces and /dev/net/tun, or leave this fault out with --fault")
	}
	return nil
}

// Way is how clients find the primary.
type Way string

// The ways.
const (
	ByFront Way = "front"
	ByDNS   Way = "dns"
)

// ParseWays reads the names of ways.
func ParseWays(names []string) ([]Way, error) {
	var all []Way
	for _, name := range names {
		switch w := Way(strings.ToLower(name)); w {
		case ByFront, ByDNS:
			if !slices.Contains(all, w) {
				all = append(all, w)
			}
		default:
			return nil, fault.New("measure failover by", name, errors.New("there is no such way"), fmt.Sprintf("choose among %v", []Way{ByFront, ByDNS}))
		}
	}
	return all, nil
}
