package faults_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/storage"
	"mahavishnu/storage/faults"
	"mahavishnu/storage/storagetest"
)

func inner(t *testing.T) storage.Backend {
	t.Helper()
	be, err := storage.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return be
}

func TestConformanceWithoutFaults(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Backend { return faults.Wrap(inner(t)) })
}

func TestScript(t *testing.T) {
	broken := errors.New("broken")
	f := faults.Wrap(inner(t))
	f.On(faults.Put).Under("packs/").After(1).Times(2).Fail(broken)
	var got []bool
	for _, name := range []string{"packs/a", "index/a", "packs/b", "packs/c", "packs/d"} {
		err := f.Put(t.Context(), name, nil, storage.PutOptions{})
		got = append(got, errors.Is(err, broken))
	}
	if diff := cmp.Diff([]bool{false, false, true, true, false}, got); diff != "" {
		t.Errorf("which puts failed (-want +got):\n%s", diff)
	}
}

func TestStopAt(t *testing.T) {
	be := inner(t)
	f := faults.Wrap(be)
	f.StopAt(2)
	if err := f.Put(t.Context(), "a", nil, storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.Put(t.Context(), "b", nil, storage.PutOptions{}); !errors.Is(err, faults.ErrStopped) {
		t.Fatalf("second put = %v", err)
	}
	if _, err := f.Stat(t.Context(), "a"); !errors.Is(err, faults.ErrStopped) {
		t.Fatalf("Stat after the stop = %v", err)
	}
	if _, err := be.Stat(t.Context(), "b"); !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("the stopped put is visible: %v", err)
	}
}

func TestPowerCut(t *testing.T) {
	be := inner(t)
	f := faults.Wrap(be)
	for _, c := range []struct {
		name, data string
		o          storage.PutOptions
	}{
		{"old", "old", storage.PutOptions{Sync: true}},
		{"durable", "12345678", storage.PutOptions{Sync: true}},
		{"synced", "12345678", storage.PutOptions{}},
		{"lost", "12345678", storage.PutOptions{}},
		{"old", "new", storage.PutOptions{}},
		{"deleted", "12345678", storage.PutOptions{Sync: true}},
	} {
		if err := f.Put(t.Context(), c.name, []byte(c.data), c.o); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(t.Context(), []string{"synced"}); err != nil {
		t.Fatal(err)
	}
	if err := f.Delete(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}
	if err := f.PowerCut(t.Context(), faults.LoseAll); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"old": "old", "durable": "12345678", "synced": "12345678", "lost": "", "deleted": "",
	} {
		got, err := storage.ReadAll(t.Context(), be, name, 100, nil)
		if string(got) != want || want != "" && err != nil {
			t.Errorf("%s = %q, %v after the power cut, want %q", name, got, err, want)
		}
	}
}

// A put that runs when the power is cut is over before anything is lost, and none
// comes after.
func TestPowerCutWaits(t *testing.T) {
	be := inner(t)
	slow := faults.Wrap(be)
	begun, goOn := make(chan struct{}), make(chan struct{})
	slow.On(faults.Put).Do(func(string) { close(begun); <-goOn })
	f := faults.Wrap(slow)
	put, cut := make(chan error), make(chan error)
	go func() { put <- f.Put(t.Context(), "late", []byte("late"), storage.PutOptions{}) }()
	<-begun
	go func() { cut <- f.PowerCut(t.Context(), faults.LoseAll) }()
	for !f.Stopped() {
		runtime.Gosched()
	}
	close(goOn)
	if err := <-put; err != nil {
		t.Errorf("the put that had begun: %v", err)
	}
	if err := <-cut; err != nil {
		t.Errorf("power cut: %v", err)
	}
	if _, err := be.Stat(t.Context(), "late"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("what was not synced: %v", err)
	}
}
