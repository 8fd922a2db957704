package plan

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"mahavishnu/fault"
)

const (
	// MaxApproval is how long an approval may be valid at most.
	MaxApproval = 10 * time.Minute
	// approvalSkew is how far the clocks of an approver and a leader may be apart.
	approvalSkew = time.Minute
	// approvalDomain keeps a signature from being taken for one of something else.
	approvalDomain = "mahavishnu failover approval 1\n"
	// maxStatement bounds what is read of a statement, in bytes.
	maxStatement = 4 << 10
)

// MethodKey is an approval by Ed25519 signature. Others have their place beside it:
// an approval names its method, and one that is not known is refused.
const MethodKey = "ed25519"

// Question is what somebody is asked to approve: one step of one execution, as it
// was at the start, asked by one leader.
type Question struct {
	Execution string `json:"execution"`
	Plan      string `json:"plan"`
	Digest    string `json:"digest"`
	Step      string `json:"step"`
	// Epoch is of the leader that asks. When another takes over before enough people
	// have approved, it asks again.
	Epoch uint64 `json:"epoch"`
}

// Statement is what an approver signs.
type Statement struct {
	Question
	Approver string    `json:"approver"`
	Issued   time.Time `json:"issued"`
	Expires  time.Time `json:"expires"`
	// Nonce makes it good for once.
	Nonce string `json:"nonce"`
}

// Approval is a statement with its proof. The bytes travel as they were signed, so
// that nobody has to agree on how to write JSON.
type Approval struct {
	Statement []byte `json:"statement"`
	Method    string `json:"method"`
	Proof     []byte `json:"proof"`
}

// Accepted is an approval that counts.
type Accepted struct {
	Step     string    `json:"step"`
	Approver string    `json:"approver"`
	Nonce    string    `json:"nonce"`
	Issued   time.Time `json:"issued"`
	At       time.Time `json:"at"`
	// Statement and Proof are kept, so that anybody can check later.
	Statement []byte `json:"statement"`
	Method    string `json:"method"`
	Proof     []byte `json:"proof"`
}

// Refusal is an approval that does not count.
type Refusal struct {
	// Approver is whom it claims to be from.
	Approver string    `json:"approver,omitempty"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
}

// Sign approves what is asked, for a time of at most [MaxApproval].
func Sign(q Question, approver string, key PrivateKey, now time.Time, life time.Duration) (Approval, error) {
	if life < time.Second || life > MaxApproval {
		return Approval{}, fault.New("sign approval", q.Execution, fmt.Errorf("it cannot be valid for %v", life), fmt.Sprintf("from 1s to %v", MaxApproval))
	}
	now = now.UTC().Truncate(time.Second)
	text, err := json.Marshal(Statement{Question: q, Approver: approver, Issued: now, Expires: now.Add(life), Nonce: rand.Text()})
	if err != nil {
		return Approval{}, fault.New("sign approval", q.Execution, err, "")
	}
	return Approval{Statement: text, Method: MethodKey, Proof: key.sign(text)}, nil
}

// statement reads what was signed.
func (a Approval) statement() (Statement, error) {
	var s Statement
	if len(a.Statement) > maxStatement {
		return s, fmt.Errorf("its statement has %d bytes", len(a.Statement))
	}
	decoder := json.NewDecoder(bytes.NewReader(a.Statement))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil || decoder.More() {
		return s, errors.New("its statement cannot be read")
	}
	return s, nil
}

// verify refuses an approval that is not a good answer to a question, with the
// reason. What the statement says is only looked at once the proof is good.
func (a Approval) verify(q Question, approvers map[string]PublicKey, now time.Time) (Statement, error) {
	s, err := a.statement()
	if err != nil {
		return s, err
	}
	key, known := approvers[s.Approver]
	switch {
	case a.Method != MethodKey:
		return s, fmt.Errorf("the method %q is not known", printable(a.Method))
	case !known:
		return s, fmt.Errorf("%q is not among the approvers of the configuration", printable(s.Approver))
	case !key.verify(a.Statement, a.Proof):
		return s, fmt.Errorf("it is forged, or signed with another key than %s has in the configuration", s.Approver)
	case s.Execution != q.Execution:
		return s, fmt.Errorf("it is for execution %s", printable(s.Execution))
	case s.Plan != q.Plan:
		return s, fmt.Errorf("it is for plan %s", printable(s.Plan))
	case s.Digest != q.Digest:
		return s, errors.New("the plan is not the one that was signed: it was edited, or has other parameters")
	case s.Step != q.Step:
		return s, fmt.Errorf("it is for step %s, and step %s waits", printable(s.Step), q.Step)
	case s.Epoch != q.Epoch:
		return s, fmt.Errorf("it answers a question of epoch %d, and the leader of epoch %d asks", s.Epoch, q.Epoch)
	case s.Nonce == "":
		return s, errors.New("it has no nonce")
	case s.Issued.After(now.Add(approvalSkew)):
		return s, fmt.Errorf("it was issued in the future, at %s: are the clocks right?", s.Issued.Format(time.RFC3339))
	case s.Expires.Sub(s.Issued) > MaxApproval || !s.Expires.After(s.Issued):
		return s, fmt.Errorf("it claims to be valid for %v, and %v is the most", s.Expires.Sub(s.Issued), MaxApproval)
	case !now.Before(s.Expires):
		return s, fmt.Errorf("it is stale: it was valid until %s", s.Expires.Format(time.RFC3339))
	}
	return s, nil
}

// printable makes a text of somebody else's fit for a journal.
func printable(text string) string {
	const most = 100
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError || r == 0x7f {
			return '?'
		}
		return r
	}, text)
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// Approve takes an approval for what an execution waits for. A bad one is refused
// with the reason, in the error, which wraps [ErrNotApproved], and in the journal.
func (x *Executor) Approve(ctx context.Context, epoch uint64, id string, a Approval) (Execution, error) {
	r, err := x.claim(ctx, id, epoch)
	if err != nil {
		return Execution{}, err
	}
	var refused error
	err = r.change(ctx, func(e *Execution) error {
		refused = nil
		s, reason := x.judge(e, a)
		if reason == nil {
			entry := AuditEntry{Action: "approve", Execution: e.ID, Plan: e.Plan.Name, Digest: e.Digest, Step: s.Step, By: s.Approver, Epoch: epoch, At: x.now()}
			if reason = x.audit(ctx, entry); reason != nil {
				return reason
			}
			e.Approvals = append(e.Approvals, Accepted{
				Step: s.Step, Approver: s.Approver, Nonce: s.Nonce, Issued: s.Issued, At: x.now(),
				Statement: a.Statement, Method: a.Method, Proof: a.Proof,
			})
			return nil
		}
		refused = fault.New("approve", id, fmt.Errorf("%w: %w", ErrNotApproved, reason), "mahavishnu failover journal shows what waits")
		if e.State.Final() {
			return refused // its journal is closed
		}
		e.Refused++
		e.Refusals = append(e.Refusals, Refusal{Approver: printable(s.Approver), Reason: reason.Error(), At: x.now()})
		e.Refusals = e.Refusals[max(0, len(e.Refusals)-maxRefusals):]
		return nil
	})
	if refused != nil {
		s, _ := a.statement() // of a bad one, only who it claims to be
		x.tell(Event{Kind: EventNotApproved, Execution: id, Plan: r.exec.Plan.Name, Step: s.Step, State: r.exec.State, Text: refused.Error()})
		entry := AuditEntry{Action: "refuse approval", Execution: id, Plan: r.exec.Plan.Name, Digest: r.exec.Digest, By: printable(s.Approver), Epoch: epoch, Reason: refused.Error(), At: x.now()}
		if errors.Is(err, refused) {
			err = nil
		}
		return r.exec, fault.Join(refused, err, x.audit(ctx, entry))
	}
	if err != nil {
		return r.exec, err
	}
	x.wake(id)
	return r.exec, nil
}

// judge looks at an approval with the eyes of an execution.
func (x *Executor) judge(e *Execution, a Approval) (Statement, error) {
	s, err := a.statement()
	if err != nil {
		return s, err
	}
	if slices.ContainsFunc(e.Approvals, func(old Accepted) bool { return old.Nonce == s.Nonce && old.Approver == s.Approver }) {
		return s, errors.New("it was used already: each is good for once")
	}
	q, ok := e.Question()
	if !ok {
		return s, fmt.Errorf("the execution is %s and waits for no approval", e.State)
	}
	if s, err = a.verify(q, x.o.Approvers, x.now()); err != nil {
		return s, err
	}
	if slices.Contains(x.approvedBy(e, q.Step), s.Approver) {
		return s, fmt.Errorf("%s has approved this step already, and it needs different people", s.Approver)
	}
	return s, nil
}

// approvedBy lists who approved a step, each once. The proofs are looked at again: an
// approval that somebody wrote into the journal without the key, or whose approver is
// none any more, does not count.
func (x *Executor) approvedBy(e *Execution, step string) []string {
	var names []string
	for _, a := range e.Approvals {
		s, err := Approval{Statement: a.Statement, Method: a.Method, Proof: a.Proof}.statement()
		key, known := x.o.Approvers[s.Approver]
		good := err == nil && known && a.Method == MethodKey && key.verify(a.Statement, a.Proof) &&
			s.Execution == e.ID && s.Digest == e.Digest && s.Step == step && a.Step == step
		if good && !slices.Contains(names, s.Approver) {
			names = append(names, s.Approver)
		}
	}
	return names
}

// awaitApproval waits until enough people have approved a step.
func (x *Executor) awaitApproval(ctx context.Context, r *record, s Step, wake <-chan struct{}) (string, error) {
	need := max(s.Approvals, 1)
	end := x.clock.Now().Add(s.Timeout.Std())
	x.tell(Event{
		Kind: EventAsked, Execution: r.exec.ID, Plan: r.exec.Plan.Name, Step: s.Name, State: r.exec.State,
		Text: fmt.Sprintf("waits for %d of %d approvers: mahavishnu failover approve %s", need, len(x.o.Approvers), r.exec.ID),
	})
	if len(x.o.Approvers) < need {
		return "", fmt.Errorf("it needs %d approvals, and the configuration has %d approvers", need, len(x.o.Approvers))
	}
	for {
		names := x.approvedBy(&r.exec, s.Name)
		switch {
		case len(names) >= need:
			return "approved by " + strings.Join(names, ", "), nil
		case r.exec.Wish != nil && r.exec.Wish.Verb == VerbRollback:
			return "", errDecided
		}
		left := end.Sub(x.clock.Now())
		if left <= 0 {
			return "", fmt.Errorf("%w of %v: %d of %d approvals", ErrTimeout, s.Timeout, len(names), need)
		}
		if _, err := x.pause(ctx, min(left, pollEvery), wake); err != nil {
			return "", err
		}
		if err := r.reload(ctx); err != nil {
			return "", err
		}
	}
}
