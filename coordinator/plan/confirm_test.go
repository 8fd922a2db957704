package plan

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// Only a coordinator that leads believes a person, and under its own epoch.
func TestAPersonsWordNeedsALeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var under []uint64
		refuse := errors.New("it is well")
		d := NewDesk(node{w: newWorld()}.executor(t), DeskOptions{ConfirmStopped: func(_ context.Context, epoch uint64, q Request) (string, error) {
			under = append(under, epoch)
			if q.Member != "a" {
				return "", refuse
			}
			return "believed " + q.By, nil
		}})
		q := Request{Ask: AskConfirmStopped, Service: "web", Member: "a", By: "ann"}
		if r := d.Handle(t.Context(), q); !errors.Is(r.Err(), ErrNotLeading) {
			t.Errorf("%+v", r)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Lead(ctx, 5) }()
		synctest.Wait()
		if r := d.Handle(t.Context(), q); r.Err() != nil || r.Done != "believed ann" {
			t.Errorf("%+v", r)
		}
		q.Member = "b"
		if r := d.Handle(t.Context(), q); r.Err() == nil || r.Error != refuse.Error() {
			t.Errorf("%+v", r)
		}
		if len(under) != 2 || under[0] != 5 {
			t.Errorf("asked under %v", under)
		}
		cancel()
		<-ended
	})
}
