package config

import (
	"regexp"
	"time"
)

// FailoverPlans say what is done when something is down, and who may approve it.
type FailoverPlans struct {
	// A directory with plans of one's own, one .yaml or .yml file each; they replace
	// shipped plans of the same name. Empty: the shipped ones alone.
	Plans string `yaml:"plans"`
	// How long a failover may be rolled back whole after its last step, for plans
	// that name no window themselves. 0s: not at all.
	CommitWindow Duration `yaml:"commit_window"`
	// How many executions that have ended stay in the journal, where failover journal
	// finds them; the audit log keeps those that are older. 0: 200.
	KeepExecutions int `yaml:"keep_executions"`
	// Who may approve plans that ask for it, by name.
	Approvers map[string]FailoverApprover `yaml:"approvers"`
}

// FailoverApprover is somebody who may approve a failover.
type FailoverApprover struct {
	// The public key, as "mahavishnu failover approver create" prints it. It is no
	// secret; the private one stays with the approver.
	PublicKey string `yaml:"public_key"`
}

// approverKey is 32 bytes in base64 behind the kind of key.
var approverKey = regexp.MustCompile(`^ed25519:[A-Za-z0-9+/]{43}=$`)

// maxCommitWindow is above what anybody keeps open; more is a mistyped unit.
const maxCommitWindow = Duration(30 * 24 * time.Hour)

// maxKeepExecutions bounds what is read whenever executions are listed.
const maxKeepExecutions = 10_000

func (l *loader) checkFailoverPlans(f FailoverPlans) {
	const at = "failover."
	l.durationBetween(at+"commit_window", f.CommitWindow, 0, maxCommitWindow)
	l.between(at+"keep_executions", f.KeepExecutions, 0, maxKeepExecutions)
	keys := map[string]string{}
	for _, name := range sortedKeys(f.Approvers) {
		key := at + "approvers." + name
		if !isName(name) {
			l.valuef(key, "%q cannot name an approver: %s", name, nameRule)
		}
		public := f.Approvers[name].PublicKey
		switch other, twice := keys[public]; {
		case public == "":
			l.missing(key+".public_key", "is missing: make one with mahavishnu failover approver create "+name, key)
		case !approverKey.MatchString(public):
			l.valuef(key+".public_key", `is not the public key of an approver: it is "ed25519:" and 44 characters, as mahavishnu failover approver create prints it`)
		case twice:
			l.valuef(key+".public_key", "is also that of %s: two people need two keys", other)
		}
		keys[public] = name
	}
}
