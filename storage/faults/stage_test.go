package faults_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/storage"
	"mahavishnu/storage/faults"
	"mahavishnu/storage/storagetest"
)

func TestMemoryConformance(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Backend { return faults.NewMemory() })
}

func TestCloneIsAlone(t *testing.T) {
	a := faults.NewMemory()
	a.Set("x", []byte("1"))
	b := a.Clone()
	b.Set("x", []byte("2"))
	b.Set("y", []byte("3"))
	if diff := cmp.Diff(map[string][]byte{"x": []byte("1")}, a.Objects()); diff != "" {
		t.Errorf("the first after changes of its clone (-want +got):\n%s", diff)
	}
}

// TestActorConformance lets everything go as it comes.
func TestActorConformance(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Backend {
		stage := faults.NewStage()
		a := stage.Actor("a", faults.NewMemory())
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for ctx.Err() == nil {
				for _, step := range stage.Waiting() {
					step.Go()
				}
			}
		}()
		t.Cleanup(func() { cancel(); <-ended })
		return a
	})
}

// TestStage plays two processes that count in one object, in an order in which
// one count is lost.
func TestStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stage, m := faults.NewStage(), faults.NewMemory()
		m.Set("n", []byte("0"))
		var actors []*faults.Actor
		for _, name := range []string{"a", "b"} {
			a := stage.Actor(name, m)
			actors = append(actors, a)
			go func() {
				got, err := storage.ReadAll(t.Context(), a, "n", 10, nil)
				if err == nil {
					err = a.Put(t.Context(), "n", []byte{got[0] + 1}, storage.PutOptions{})
				}
				if err != nil {
					t.Error(err)
				}
			}()
		}
		var story []string
		for _, i := range []int{0, 1, 1, 0} {
			synctest.Wait()
			step := stage.WaitingOf(actors[i])[0]
			story = append(story, fmt.Sprint(step.Actor.Name, " ", step.Op))
			step.Go()
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"a get", "b get", "b put", "a put"}, story); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		if got := string(m.Objects()["n"]); got != "1" {
			t.Errorf("n = %s, want 1: both read 0", got)
		}
	})
}

func TestVerdicts(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name    string
		verdict func(*faults.Step)
		want    error
		stored  bool
	}{
		{"go", (*faults.Step).Go, nil, true},
		{"refuse", func(s *faults.Step) { s.Refuse(broken) }, broken, false},
		{"lose", func(s *faults.Step) { s.Lose(broken) }, broken, true},
		{"kill", func(s *faults.Step) { s.Actor.Kill() }, faults.ErrStopped, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			stage, m := faults.NewStage(), faults.NewMemory()
			var got error
			go func() {
				got = stage.Actor("a", m).Put(t.Context(), "x", nil, storage.PutOptions{})
			}()
			synctest.Wait()
			c.verdict(stage.Waiting()[0])
			synctest.Wait()
			if _, stored := m.Objects()["x"]; !errors.Is(got, c.want) || stored != c.stored {
				t.Errorf("%s: error %v, stored %v", c.name, got, stored)
			}
			if n := len(stage.Waiting()); n != 0 {
				t.Errorf("%s: %d operations wait still", c.name, n)
			}
		})
	}
}

// An operation whose context ends leaves the queue.
func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stage := faults.NewStage()
		ctx, cancel := context.WithCancel(t.Context())
		var got error
		go func() { _, got = stage.Actor("a", faults.NewMemory()).Stat(ctx, "x") }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !errors.Is(got, context.Canceled) || len(stage.Waiting()) != 0 {
			t.Errorf("error %v, %d waiting", got, len(stage.Waiting()))
		}
	})
}

// What comes and goes during a listing is listed or not, what stays is listed.
func TestTornListing(t *testing.T) {
	found := map[string]int{}
	const rounds = 32
	for seed := range uint64(rounds) {
		synctest.Test(t, func(t *testing.T) {
			stage, m := faults.NewStage(), faults.NewMemory()
			stage.Torn(seed)
			for _, name := range []string{"d/stays", "d/goes"} {
				m.Set(name, []byte{})
			}
			go func() {
				err := stage.Actor("a", m).List(t.Context(), "d/", func(i storage.Info) error { found[i.Name]++; return nil })
				if err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait()
			stage.Waiting()[0].Go()
			synctest.Wait()
			m.Set("d/goes", nil)
			m.Set("d/comes", []byte{})
			stage.Waiting()[0].Go()
			synctest.Wait()
		})
	}
	if found["d/stays"] != rounds || found["d/goes"] == 0 || found["d/goes"] == rounds || found["d/comes"] == 0 || found["d/comes"] == rounds {
		t.Errorf("listed in %d rounds: %v", rounds, found)
	}
}
