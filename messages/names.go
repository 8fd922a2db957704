package messages

import (
	"strings"
)

// Streams and key-value buckets. One provisioner creates them; everything else
// binds to what is there.
const (
	StreamJobs   = "DR_JOBS"
	StreamEvents = "DR_EVENTS"
	StreamDead   = "DR_DEAD"
	StreamAudit  = "DR_AUDIT"

	BucketJobs    = "dr_jobs"
	BucketLeases  = "dr_leases"
	BucketCatalog = "dr_catalog"
	BucketNodes   = "dr_nodes"
)

// Subject roots, as wildcards.
const (
	SubjectJobs       = "dr.jobs.>"
	SubjectEvents     = "dr.events.>"
	SubjectDead       = "dr.dead.>"
	SubjectAudit      = "dr.audit.>"
	SubjectHeartbeats = "dr.heartbeat.>"
	SubjectProgress   = "dr.progress.>"
	SubjectOpinions   = "dr.control.opinion.>"
)

// LeaseCoordinator is the lease of the coordinator that executes plans.
const LeaseCoordinator = "coordinator"

// ServiceLease is the lease of the member of a service that may write.
func ServiceLease(service string) string { return "service-" + service }

// AnyRegion is the region token of a job that every region may take.
const AnyRegion = "any"

// Message headers.
const (
	// HeaderJob carries the job's id on every job, event and dead message.
	HeaderJob = "Dr-Job"
	// HeaderReplyTo names a subject that wants to hear what became of a job
	// sent by hand. A stored message cannot keep NATS's own reply subject:
	// the stream uses that one for its acknowledgement.
	HeaderReplyTo = "Dr-Reply-To"
	// HeaderMsgID is JetStream's de-duplication header.
	HeaderMsgID = "Nats-Msg-Id"
)

const (
	// MaxPayload is the largest job payload that is read, in bytes.
	MaxPayload = 1 << 20
	// ServerMaxPayload is what servers accept, in bytes. It is above MaxPayload
	// so that a job too large to read arrives, and is refused with a reason that
	// people see, instead of vanishing in the publisher's client.
	ServerMaxPayload = 8 << 20
	// MaxDeadPayload is how much of a refused payload a dead letter keeps.
	MaxDeadPayload = 64 << 10

	maxToken = 64
	maxID    = 128
)

// JobSubject is where jobs of a kind for a region are published.
func JobSubject(k Kind, region string) string { return "dr.jobs." + string(k) + "." + region }

// EventSubject is where an event is published.
func EventSubject(k Kind, o Outcome, region string) string {
	return "dr.events." + token(string(k)) + "." + token(string(o)) + "." + token(region)
}

// DeadSubject is where a dead letter is published. Kind and region may be what
// someone mistyped; tokens that no subject can hold become "unknown".
func DeadSubject(kind, region string) string { return "dr.dead." + token(kind) + "." + token(region) }

// AuditSubject is where an audit entry about a topic is published.
func AuditSubject(topic string) string { return "dr.audit." + token(topic) }

// HeartbeatSubject is where a node announces itself.
func HeartbeatSubject(region, node string) string { return "dr.heartbeat." + region + "." + node }

// ProgressSubject is where a job's progress is published; id "*" is all of them.
func ProgressSubject(id string) string { return "dr.progress." + id }

// JobControlSubject is where the worker that runs the job listens.
func JobControlSubject(id string) string { return "dr.control.job." + id }

// OpinionSubject is where a coordinator says whom it sees.
func OpinionSubject(region, node string) string { return "dr.control.opinion." + region + "." + node }

// CoordinatorControlSubject is where a coordinator listens; node "all" is every
// one of them.
func CoordinatorControlSubject(node string) string { return "dr.control.coordinator." + node }

// AllCoordinators stands for every coordinator in a control subject.
const AllCoordinators = "all"

// MemberControlSubject is where the keeper of a service's member listens.
func MemberControlSubject(service, member string) string {
	return "dr.control.member." + service + "." + member
}

// ConsumerName is the durable consumer of a kind and region on DR_JOBS.
func ConsumerName(k Kind, region string) string { return "jobs-" + string(k) + "-" + region }

// EventReaderName is the durable consumer of a named reader of DR_EVENTS.
func EventReaderName(reader string) string { return "events-" + reader }

// SplitJobSubject returns the kind and region tokens of a job subject,
// whatever they are. The error is a [*RefusedError].
func SplitJobSubject(subject string) (kind, region string, err error) {
	rest, ok := strings.CutPrefix(subject, "dr.jobs.")
	if !ok {
		return "", "", &RefusedError{Reason: "subject " + quote(subject) + " is not a job subject; publish to dr.jobs.KIND.REGION"}
	}
	kind, region, ok = strings.Cut(rest, ".")
	if !ok || kind == "" || region == "" || strings.Contains(region, ".") {
		return kind, region, &RefusedError{Reason: "subject " + quote(subject) + " does not have the form dr.jobs.KIND.REGION"}
	}
	return kind, region, nil
}

// RefuseRegion is the refusal of a job for a region nobody serves.
func RefuseRegion(region string, known []string) *RefusedError {
	return &RefusedError{
		Reason:     quote(region) + " is not a region of this system; its regions are " + list(known),
		Field:      "region",
		Suggestion: Nearest(region, known),
	}
}

// ValidName reports whether s can be a region, node, lease or reader name:
// 1 to 64 letters, digits, '-' and '_', starting with a letter or digit.
func ValidName(s string) bool {
	return len(s) <= maxToken && validToken(s, "")
}

// ValidID reports whether s can be a job id: 1 to 128 letters, digits and
// "-_=/", starting with a letter or digit, so that it is one subject token and
// one bucket key. A '/' neither ends the id nor follows another.
func ValidID(s string) bool {
	return len(s) <= maxID && validToken(s, "=/") && !strings.HasSuffix(s, "/") && !strings.Contains(s, "//")
}

func validToken(s, extra string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '-' || c == '_' || strings.IndexByte(extra, c) >= 0):
		default:
			return false
		}
	}
	return s != ""
}

func token(s string) string {
	if ValidName(s) {
		return s
	}
	return "unknown"
}
