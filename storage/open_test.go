package storage_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/fault"
	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
	"mahavishnu/storage/storagetest/servers"
	"mahavishnu/storage/storagetest/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seen is an observer that counts.
type seen struct {
	mu      sync.Mutex
	ops     map[string]int
	retried int
}

func (s *seen) StorageOperation(op, result string, _ int64, _ time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ops == nil {
		s.ops = map[string]int{}
	}
	s.ops[op+" "+result]++
}

func (s *seen) StorageRetried(string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retried++
}

// Every kind of storage is opened by its URL, with its secrets apart, and tries again
// through a server that fails; the observer is told what the caller saw, and of the
// repetitions.
func TestOpenWith(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) (*wire.Proxy, string, storage.Credentials){
		"S3": func(t *testing.T) (*wire.Proxy, string, storage.Credentials) {
			s := servers.S3(t)
			p := wire.New(t, wire.S3, s.Endpoint())
			return p, s.Through(p.URL(), "below/it"), storage.Credentials{S3: storage.S3Credentials{AccessKey: s.AccessKey, SecretKey: s.SecretKey}}
		},
		"Azure": func(t *testing.T) (*wire.Proxy, string, storage.Credentials) {
			s := servers.Azure(t)
			p := wire.New(t, wire.Azure, s.Process.Endpoint())
			return p, s.Through(p.URL(), "below/it"), storage.Credentials{Azure: storage.AzureCredentials{AccountKey: s.Key}}
		},
		"GCS": func(t *testing.T) (*wire.Proxy, string, storage.Credentials) {
			s := servers.GCS(t)
			p := wire.New(t, wire.GCS, s.Endpoint())
			return p, s.Through(p.URL(), "below/it"), storage.Credentials{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy, place, secrets := start(t)
			var told seen
			be, err := storage.OpenWith(t.Context(), place, storage.OpenOptions{
				Credentials: secrets, Observer: &told, Retry: storage.RetryOptions{First: time.Millisecond},
				Limits: storage.NewLimits(storage.LimitOptions{Concurrency: 2}),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer be.Close()
			if _, ok := be.(storage.Retainer); !ok {
				t.Error("the Retainer is hidden")
			}
			data := bytes.Repeat([]byte("0123456789"), 10_000)
			proxy.On(wire.Put).Times(2).Status(http.StatusServiceUnavailable)
			if err := be.Put(t.Context(), "a/b", data, storage.PutOptions{Sync: true}); err != nil {
				t.Fatal(err)
			}
			proxy.On(wire.Get).Reset()
			got, err := storage.ReadAll(t.Context(), be, "a/b", 1<<20, nil)
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if _, err := be.Stat(t.Context(), "nothing"); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("Stat of nothing: %v", err)
			}
			told.mu.Lock()
			defer told.mu.Unlock()
			if told.ops["put ok"] != 1 || told.ops["get ok"] != 1 || told.ops["stat not_found"] != 1 || told.retried != 3 {
				t.Errorf("the observer was told of %v and %d repetitions", told.ops, told.retried)
			}
			for _, secret := range []string{secrets.S3.SecretKey, secrets.Azure.AccountKey} {
				if secret != "" && strings.Contains(be.Location()+fmt.Sprintf("%v %+v %#v", secrets, secrets, secrets), secret) {
					t.Errorf("%s shows a secret", be.Location())
				}
			}
		})
	}
}

// What Location says opens the same place.
func TestLocationOpens(t *testing.T) {
	s := servers.S3(t)
	o := storage.OpenOptions{Credentials: storage.Credentials{S3: storage.S3Credentials{AccessKey: s.AccessKey, SecretKey: s.SecretKey}}}
	one, err := storage.OpenWith(t.Context(), s.URL("here"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	if err := one.Put(t.Context(), "a", []byte("x"), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	two, err := storage.OpenWith(t.Context(), one.Location(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	var names []string
	if err := two.List(t.Context(), "", func(i storage.Info) error { names = append(names, i.Name); return nil }); err != nil || !slices.Equal(names, []string{"a"}) {
		t.Errorf("%q, %v", names, err)
	}
}

// A misspelt kind is an error that names the near one.
func TestUnknownKind(t *testing.T) {
	for place, want := range map[string]string{
		"s33://bucket": "did you mean s3?", "azblop://container?account=abc": "did you mean azblob?", "gcs://bucket": "did you mean gs?", "S3:bucket": "", "s3:bucket/p": "s3://bucket/prefix",
	} {
		_, err := storage.Open(t.Context(), place)
		var e *storage.Error
		if want == "" {
			if err != nil {
				t.Errorf("%s, a directory: %v", place, err)
			}
			continue
		}
		if !errors.As(err, &e) || !strings.Contains(e.Hint, want) {
			t.Errorf("%s: %v, want a hint %q", place, err, want)
		}
	}
}

// What was meant as a URL is not taken for a directory, and a secret in it is not shown.
func TestMisspeltURLs(t *testing.T) {
	t.Chdir(t.TempDir())
	for place, want := range map[string]string{
		"s3//rootkey:hunter2pass@plain/x":                                       "s3://bucket/prefix",
		"s3:/rootkey:hunter2/pass@plain/x":                                      "s3://bucket/prefix",
		"s3:rootkey:hunter2pass@plain/x":                                        "s3://bucket/prefix",
		"s3:///rootkey:hunter2pass@plain/x":                                     "s3://bucket/prefix",
		"s3://rootkey:hunter2/pass@plain/x":                                     "%XX",
		"s3://rootkey:hunter2pass@plain/x":                                      "AWS_ACCESS_KEY_ID",
		"gs//plain":                                                             "gs://bucket/prefix",
		"azblob;//c?sig=hunter2pass":                                            "azblob://container/prefix",
		"S3:/rootkey:hunter2pass@plain/x":                                       "s3://bucket/prefix",
		"rootkey:hunter2pass@plain/x":                                           "./ before it",
		"disperse:2+1?at=s3//k:hunter2pass@b&at=file:///other&at=file:///third": "s3://bucket/prefix",
		"ftp://k:hunter2pass@b/x":                                               "file:///absolute/path",
	} {
		be, err := storage.Open(t.Context(), place)
		if err == nil {
			t.Errorf("%s is opened", place)
			_ = be.Close()
			continue
		}
		text := err.Error() + "\n" + strings.Join(fault.Hints(err), "\n")
		if !strings.Contains(text, want) || strings.Contains(text, "hunter2") || strings.Contains(text, "rootkey") {
			t.Errorf("%s: %s\nwant a hint %q and no secret", place, text, want)
		}
		if again := storage.CheckPlace(place); again == nil || again.Error() != err.Error() {
			t.Errorf("%s: CheckPlace says %v, Open %v", place, again, err)
		}
	}
	for _, place := range []string{"./key:hunter2@plain", filepath.Join(t.TempDir(), "a:b@c"), "s3", "s3/backups", "of 10:30"} {
		if err := storage.CheckPlace(place); err != nil {
			t.Errorf("%s is a directory: %v", place, err)
		}
	}
	if left, err := os.ReadDir("."); err != nil || len(left) != 0 {
		t.Errorf("directories were made: %v, %v", left, err)
	}
}

// Each storage of a dispersed one is opened like any, with credentials of its own.
func TestOpenDispersed(t *testing.T) {
	one, two := servers.S3(t), servers.GCS(t)
	dir := "file://" + t.TempDir()
	asked := map[string]int{}
	o := storage.OpenOptions{CredentialsFor: func(place string) (storage.Credentials, error) {
		asked[place]++
		if place == one.URL("shard") {
			return storage.Credentials{S3: storage.S3Credentials{AccessKey: one.AccessKey, SecretKey: one.SecretKey}}, nil
		}
		return storage.Credentials{}, nil
	}}
	place := dispersed.Layout{Data: 2, Parity: 1, At: []string{one.URL("shard"), two.URL("shard"), dir}}.String()
	be, err := storage.OpenWith(t.Context(), place, o)
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	data := bytes.Repeat([]byte("0123456789"), 10_000)
	if err := be.Put(t.Context(), "a", data, storage.PutOptions{Sync: true}); err != nil {
		t.Fatal(err)
	}
	one.Stop()
	if got, err := storage.ReadAll(t.Context(), be, "a", 1<<20, nil); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v, while one of three is away", len(got), err)
	}
	if asked[one.URL("shard")] != 1 || asked[two.URL("shard")] != 1 || len(asked) != 2 {
		t.Errorf("credentials were asked for of %v", asked)
	}
	for text, want := range map[string]string{
		"disperse:a,b": "4+2", strings.Replace(place, "s3%3A", "s4%3A", 1): "unknown kind", strings.Replace(place, "2+1", "3+1", 1): "needs 4 storages",
	} {
		if _, err := storage.OpenWith(t.Context(), text, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want one about %q", text, err, want)
		}
	}
}
