package plan

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSignForAtMostTenMinutes(t *testing.T) {
	key, _, _ := approver(t)
	for life, good := range map[time.Duration]bool{0: false, -time.Minute: false, time.Second: true, MaxApproval: true, MaxApproval + time.Second: false, 20 * time.Minute: false} {
		if _, err := Sign(Question{}, "ann", key, time.Now(), life); (err == nil) != good {
			t.Errorf("%v: %v", life, err)
		}
	}
}

// asked is a plan that waits for approval.
const asked = `
name: asked
about: waits
protects: [x]
parameters:
  to: {type: text, about: where to, default: here}
steps:
  - {name: ask, kind: approve, timeout: 1h, approvals: 2}
  - {name: a, kind: action, uses: set, with: {thing: x, value: $to}, timeout: 5s}
`

// asking runs a plan until it waits for approval, and calls fn then.
func asking(t *testing.T, fn func(t *testing.T, x *Executor, e Execution, keys map[string]PrivateKey)) {
	keys := map[string]PrivateKey{}
	public := map[string]PublicKey{}
	for _, name := range []string{"ann", "bob", "eve"} {
		key, err := CreateKey(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = key
		if name != "eve" {
			public[name] = key.Public()
		}
	}
	synctest.Test(t, func(t *testing.T) {
		x := node{w: newWorld()}.executor(t, func(o *Options) { o.Approvers = public })
		e, err := x.Start(t.Context(), 7, Order{Plan: load(t, asked), Trigger: ByHand})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { _, _ = x.Run(ctx, 7, e.ID) })
		defer func() { cancel(); run.Wait() }()
		synctest.Wait()
		if e, err = x.Find(ctx, e.ID); err != nil {
			t.Fatal(err)
		}
		fn(t, x, e, keys)
	})
}

func TestTwoPeopleApprove(t *testing.T) {
	asking(t, func(t *testing.T, x *Executor, e Execution, keys map[string]PrivateKey) {
		q, ok := e.Question()
		if !ok || q.Plan != "asked" || q.Epoch != 7 || q.Step != "ask" || q.Digest != e.Digest {
			t.Fatalf("question %+v", q)
		}
		for i, name := range []string{"ann", "bob"} {
			a, err := Sign(q, name, keys[name], x.now(), time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if e, err = x.Approve(t.Context(), 7, e.ID, a); err != nil {
				t.Fatal(err)
			}
			if again, err := x.Approve(t.Context(), 7, e.ID, a); !errors.Is(err, ErrNotApproved) || !strings.Contains(err.Error(), "used already") {
				t.Errorf("a second time: %v", err)
			} else if again.Refused != i+1 || len(again.Refusals) != i+1 {
				t.Errorf("the journal tells of %d refusals", again.Refused)
			}
			if i == 0 {
				more, err := Sign(q, "ann", keys["ann"], x.now(), time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				more.Statement = bytes.Clone(more.Statement)
				if _, err := x.Approve(t.Context(), 7, e.ID, more); !errors.Is(err, ErrNotApproved) || !strings.Contains(err.Error(), "different people") {
					t.Errorf("one person twice: %v", err)
				}
				return
			}
		}
	})
}

func TestApprovedPlanGoesOn(t *testing.T) {
	asking(t, func(t *testing.T, x *Executor, e Execution, keys map[string]PrivateKey) {
		q, _ := e.Question()
		for _, name := range []string{"ann", "bob"} {
			a, err := Sign(q, name, keys[name], x.now(), time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = x.Approve(t.Context(), 7, e.ID, a); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		e, err := x.Find(t.Context(), e.ID)
		if err != nil || e.State != StateCommitted || !strings.Contains(e.Entries[0].Output, "approved by ann, bob") {
			t.Errorf("%s %+v %v", e.State, e.Entries, err)
		}
	})
}

func TestBadApprovalsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		signer string
		change func(s *Statement)
		spoil  func(a *Approval)
		want   string
	}{
		{name: "forged", signer: "eve", want: "forged"},
		{name: "another approver's name", signer: "eve", change: func(s *Statement) { s.Approver = "bob" }, want: "forged"},
		{name: "unknown approver", signer: "eve", change: func(s *Statement) { s.Approver = "eve" }, want: "not among the approvers"},
		{name: "changed after signing", spoil: func(a *Approval) { a.Statement = bytes.Replace(a.Statement, []byte("ask"), []byte("ASK"), 1) }, want: "forged"},
		{name: "signature cut", spoil: func(a *Approval) { a.Proof = a.Proof[:10] }, want: "forged"},
		{name: "method", spoil: func(a *Approval) { a.Method = "none" }, want: "method"},
		{name: "no statement", spoil: func(a *Approval) { a.Statement = nil }, want: "cannot be read"},
		{name: "unknown field", spoil: func(a *Approval) { a.Statement = []byte(`{"execution":"x","also":1}`) }, want: "cannot be read"},
		{name: "huge", spoil: func(a *Approval) { a.Statement = bytes.Repeat([]byte(" "), maxStatement+1) }, want: "bytes"},
		{name: "another execution", change: func(s *Statement) { s.Execution = "other" }, want: "execution other"},
		{name: "another plan", change: func(s *Statement) { s.Plan = "other" }, want: "plan other"},
		{name: "edited plan", change: func(s *Statement) { s.Digest = strings.Repeat("0", 64) }, want: "edited"},
		{name: "another step", change: func(s *Statement) { s.Step = "other" }, want: "step other"},
		{name: "earlier leader", change: func(s *Statement) { s.Epoch = 6 }, want: "epoch 6"},
		{name: "stale", change: func(s *Statement) { s.Issued, s.Expires = s.Issued.Add(-time.Hour), s.Expires.Add(-time.Hour) }, want: "stale"},
		{name: "from the future", change: func(s *Statement) { s.Issued, s.Expires = s.Issued.Add(time.Hour), s.Expires.Add(time.Hour) }, want: "future"},
		{name: "valid too long", change: func(s *Statement) { s.Expires = s.Issued.Add(24 * time.Hour) }, want: "valid for 24h"},
		{name: "valid backwards", change: func(s *Statement) { s.Expires = s.Issued.Add(-time.Second) }, want: "valid for -1s"},
		{name: "no nonce", change: func(s *Statement) { s.Nonce = "" }, want: "nonce"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asking(t, func(t *testing.T, x *Executor, e Execution, keys map[string]PrivateKey) {
				q, _ := e.Question()
				s := Statement{Question: q, Approver: "ann", Issued: x.now(), Expires: x.now().Add(time.Minute), Nonce: "n"}
				if c.change != nil {
					c.change(&s)
				}
				text, err := json.Marshal(s)
				if err != nil {
					t.Fatal(err)
				}
				signer := "ann"
				if c.signer != "" {
					signer = c.signer
				}
				a := Approval{Statement: text, Method: MethodKey, Proof: keys[signer].sign(text)}
				if c.spoil != nil {
					c.spoil(&a)
				}
				after, err := x.Approve(t.Context(), 7, e.ID, a)
				if !errors.Is(err, ErrNotApproved) || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("%v, want %q", err, c.want)
				}
				if len(after.Approvals) > 0 || len(after.Refusals) != 1 || !strings.Contains(after.Refusals[0].Reason, c.want) {
					t.Errorf("the journal: %+v, %+v", after.Approvals, after.Refusals)
				}
			})
		})
	}
}

// Whoever can write to the queue, but has no key, cannot approve by writing into the
// journal.
func TestApprovalWithoutProofInTheJournalDoesNotCount(t *testing.T) {
	asking(t, func(t *testing.T, x *Executor, e Execution, keys map[string]PrivateKey) {
		q, _ := e.Question()
		r, err := x.claim(t.Context(), e.ID, 7)
		if err != nil {
			t.Fatal(err)
		}
		err = r.change(t.Context(), func(e *Execution) error {
			for _, name := range []string{"ann", "bob"} {
				a, err := Sign(q, name, keys["eve"], x.now(), time.Minute)
				if err != nil {
					return err
				}
				e.Approvals = append(e.Approvals, Accepted{Step: "ask", Approver: name, Statement: a.Statement, Method: a.Method, Proof: a.Proof})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if now, err := x.Find(t.Context(), e.ID); err != nil || now.State != StateExecuting {
			t.Errorf("%s %v", now.State, err)
		}
	})
}

func TestApprovalOfWhatDoesNotWait(t *testing.T) {
	asking(t, func(t *testing.T, x *Executor, e Execution, keys map[string]PrivateKey) {
		q, _ := e.Question()
		if _, err := x.Decide(t.Context(), 7, e.ID, Decision{Verb: VerbRollback, By: "ann"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		a, err := Sign(q, "ann", keys["ann"], x.now(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.Approve(t.Context(), 7, e.ID, a); !errors.Is(err, ErrNotApproved) || !strings.Contains(err.Error(), "rolled-back") {
			t.Errorf("%v", err)
		}
	})
}

func TestApprovalThatCannotBeAuditedDoesNotCount(t *testing.T) {
	asking(t, func(t *testing.T, x *Executor, e Execution, keys map[string]PrivateKey) {
		x.o.Audit = func(context.Context, AuditEntry) error { return errors.New("the log is full") }
		q, _ := e.Question()
		a, err := Sign(q, "ann", keys["ann"], x.now(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.Approve(t.Context(), 7, e.ID, a); err == nil || !strings.Contains(err.Error(), "the log is full") {
			t.Errorf("%v", err)
		}
		if e, err := x.Find(t.Context(), e.ID); err != nil || len(e.Approvals) > 0 {
			t.Errorf("it counts: %+v %v", e.Approvals, err)
		}
	})
}

func TestDigestFollowsThePlan(t *testing.T) {
	p := load(t, asked)
	params := map[string]string{"to": "here"}
	digest := Digest(*p, Ungraceful, params)
	if other := load(t, "# a remark\n"+asked); Digest(*other, Ungraceful, params) != digest {
		t.Error("a comment changes the digest")
	}
	for what, other := range map[string]string{
		"an edit":   Digest(*load(t, strings.Replace(asked, "timeout: 5s", "timeout: 6s", 1)), Ungraceful, params),
		"a variant": Digest(*p, Graceful, params),
		"a value":   Digest(*p, Ungraceful, map[string]string{"to": "there"}),
	} {
		if other == digest {
			t.Errorf("%s does not change the digest", what)
		}
	}
}

func TestKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "ann.key")
	key, err := CreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CreateKey(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a key was overwritten: %v", err)
	}
	again, err := ReadKey(path)
	if err != nil || again.Public().String() != key.Public().String() {
		t.Fatalf("read %v, %v", again.Public(), err)
	}
	public, err := ParsePublicKey(key.Public().String())
	if err != nil || !public.verify([]byte("x"), key.sign([]byte("x"))) || public.verify([]byte("y"), key.sign([]byte("x"))) {
		t.Errorf("the public key does not check what the private one signs: %v", err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, key); strings.Contains(text, fmt.Sprint(key.key[0])) && text != "(private key)" {
			t.Errorf("%s shows the key: %s", format, text)
		}
	}
	for _, bad := range []string{"", "ed25519:", "ed25519:AAAA", strings.TrimPrefix(public.String(), publicPrefix), "rsa:" + public.String()} {
		if _, err := ParsePublicKey(bad); err == nil {
			t.Errorf("%q was taken for a public key", bad)
		}
	}
}

func TestBadKeyFiles(t *testing.T) {
	dir := t.TempDir()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":     "",
		"no PEM":    "secret words",
		"bad PEM":   string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: []byte("secret words")})),
		"a P-256":   string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})),
		"too large": strings.Repeat("x", maxKeyFile+1),
	} {
		path := filepath.Join(dir, "key")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKey(path); err == nil || strings.Contains(err.Error(), "secret words") {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(dir, "open")
	if _, err := CreateKey(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKey(path); err == nil || !strings.Contains(err.Error(), "others can read it") {
		t.Errorf("a key that others can read: %v", err)
	}
	if _, err := ReadKey(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no key: %v", err)
	}
}

// FuzzApproval asks of any bytes that they are refused, and nothing else happens.
func FuzzApproval(f *testing.F) {
	key, err := CreateKey(filepath.Join(f.TempDir(), "key"))
	if err != nil {
		f.Fatal(err)
	}
	q := Question{Execution: "e", Plan: "p", Digest: "d", Step: "s", Epoch: 7}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	good, err := Sign(q, "ann", key, now, time.Minute)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Statement, good.Method, good.Proof)
	f.Add([]byte("{}"), MethodKey, []byte{})
	approvers := map[string]PublicKey{"ann": key.Public(), "nobody": {}}
	f.Fuzz(func(t *testing.T, statement []byte, method string, proof []byte) {
		a := Approval{statement, method, proof}
		if _, err := a.verify(q, approvers, now); err == nil &&
			(!bytes.Equal(statement, good.Statement) || !bytes.Equal(proof, good.Proof)) {
			t.Errorf("forged: %s", statement)
		}
		var s Statement
		if text := printable(string(statement)); strings.ContainsAny(text, "\n\x00\x1b") {
			t.Errorf("%q is fit for no journal", text)
		}
		_ = json.Unmarshal(statement, &s) // whatever it is, it must not panic
		if private, err := parsePrivateKey(statement); err == nil && private.key == nil {
			t.Error("an empty key was read")
		}
	})
}
