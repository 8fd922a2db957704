package faults_test

import (
	"errors"
	"io"
	"testing"

	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

var errReset = errors.New("connection reset")

// What is lost is the answer: the change is there.
func TestLose(t *testing.T) {
	memory := faults.NewMemory()
	f := faults.Wrap(memory)
	f.On(faults.Put).Lose(errReset)
	if err := f.Put(t.Context(), "a", []byte("x"), storage.PutOptions{}); !errors.Is(err, errReset) {
		t.Errorf("Put = %v", err)
	}
	if _, ok := memory.Objects()["a"]; !ok {
		t.Error("the object is not there")
	}
	f.On(faults.Sync).Lose(errReset)
	if err := f.Sync(t.Context(), []string{"a"}); !errors.Is(err, errReset) {
		t.Errorf("Sync = %v", err)
	}
	f.On(faults.Delete).Lose(errReset)
	if err := f.Delete(t.Context(), "a"); !errors.Is(err, errReset) {
		t.Errorf("Delete = %v", err)
	}
	if _, ok := memory.Objects()["a"]; ok {
		t.Error("the object is still there")
	}
}

func TestBreak(t *testing.T) {
	memory := faults.NewMemory()
	for _, name := range []string{"a", "b", "c"} {
		memory.Set(name, []byte("0123456789"))
	}
	f := faults.Wrap(memory)
	f.On(faults.Get).Break(4, errReset)
	r, err := f.Get(t.Context(), "a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(r); string(data) != "0123" || !errors.Is(err, errReset) {
		t.Errorf("%q, %v; want 4 bytes and a reset", data, err)
	}
	f.On(faults.List).Break(2, errReset)
	names := 0
	if err := f.List(t.Context(), "", func(storage.Info) error { names++; return nil }); names != 2 || !errors.Is(err, errReset) {
		t.Errorf("%d names, %v; want 2 and a reset", names, err)
	}
	if err := f.List(t.Context(), "", func(storage.Info) error { names++; return nil }); names != 5 || err != nil {
		t.Errorf("then %d names, %v; want 3 more", names, err)
	}
}
