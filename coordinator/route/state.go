package route

import (
	"fmt"
	"strconv"
	"strings"
)

// State is what a router keeps: a target and the epoch it was pointed at with.
// Epoch 0 is nothing.
type State struct {
	Epoch  uint64 `json:"epoch"`
	Target Target `json:"target"`
}

// Admit says whether a state may be replaced by a target with an epoch. Done is
// a repetition: everything is as it should be already.
func (s State) Admit(t Target, epoch uint64) (done bool, err error) {
	if err := checkPoint(t, epoch); err != nil {
		return false, err
	}
	switch {
	case s.Epoch > epoch, s.Epoch == epoch && s.Target.Member != t.Member:
		return false, &StaleError{Held: s, Epoch: epoch}
	case s.Epoch == epoch:
		return s.Target.Equal(t), nil
	}
	return false, nil
}

// Mark is how a state is written where only a line of text fits: a TXT record, a
// command's output. The target's ways are told by the records beside it.
type Mark struct {
	Epoch  uint64
	Member string
}

// MarkOf is a state's mark.
func MarkOf(s State) Mark { return Mark{Epoch: s.Epoch, Member: s.Target.Member} }

// Strings are the mark's parts, which a TXT record keeps apart.
func (m Mark) Strings() []string {
	return []string{"epoch=" + strconv.FormatUint(m.Epoch, 10), "member=" + m.Member}
}

// String is "epoch=42 member=pg1".
func (m Mark) String() string { return strings.Join(m.Strings(), " ") }

// ParseMark reads the parts of a mark, in the one way they are written: what is
// read is compared byte by byte when it is replaced.
func ParseMark(parts []string) (Mark, error) {
	bad := func() (Mark, error) {
		return Mark{}, fmt.Errorf("%q is no mark of the form %q", strings.Join(parts, " "), Mark{Epoch: 42, Member: "MEMBER"}.String())
	}
	if len(parts) != 2 {
		return bad()
	}
	digits, ok := strings.CutPrefix(parts[0], "epoch=")
	member, named := strings.CutPrefix(parts[1], "member=")
	epoch, err := strconv.ParseUint(digits, 10, 64)
	m := Mark{Epoch: epoch, Member: member}
	if !ok || !named || err != nil || epoch == 0 || !validMember(member) || m.Strings()[0] != parts[0] {
		return bad()
	}
	return m, nil
}
