package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  *Error
		want string
	}{
		{New("read key ring", "/etc/key", fs.ErrNotExist, "create it"), "read key ring /etc/key: file does not exist"},
		{New("connect", "", fs.ErrInvalid, ""), "connect: invalid argument"},
		{New("refuse job", "j1", nil, ""), "refuse job j1"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("Error() = %q, want %q", got, c.want)
		}
	}
}

func TestHintsAreCollectedOnceThroughWrapping(t *testing.T) {
	inner := New("open", "a", fs.ErrPermission, "run as the owner of a")
	err := fmt.Errorf("backup home: %w", errors.Join(
		New("read", "x", inner, "check the disk"),
		New("read", "y", inner, ""),
	))
	want := []string{"check the disk", "run as the owner of a"}
	if diff := cmp.Diff(want, Hints(err)); diff != "" {
		t.Errorf("Hints (-want +got):\n%s", diff)
	}
	if !errors.Is(err, fs.ErrPermission) {
		t.Error("the cause is lost by wrapping")
	}
}

func TestJoinTellsEachErrorOnce(t *testing.T) {
	full := New("write", "a", fs.ErrPermission, "run as the owner of a")
	again := New("write", "a", fs.ErrPermission, "run as the owner of a")
	for _, c := range []struct {
		errs []error
		want string
	}{
		{nil, ""},
		{[]error{nil, nil}, ""},
		{[]error{full, nil, again}, "write a: permission denied"},
		{[]error{nil, full, fs.ErrClosed, again}, "write a: permission denied\nfile already closed"},
	} {
		got := Join(c.errs...)
		if text := fmt.Sprint(got); c.want == "" && got != nil || c.want != "" && text != c.want {
			t.Errorf("Join(%v) = %q, want %q", c.errs, text, c.want)
		}
	}
}
