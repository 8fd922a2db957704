package azure_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/storage/azure"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/storagetest/servers"
)

func write(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// signature returns a shared access signature for the server's container.
func signature(t *testing.T, s *servers.AzureServer, p sas.ContainerPermissions, until time.Time) string {
	t.Helper()
	key, err := blob.NewSharedKeyCredential(s.Account, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := container.NewClientWithSharedKeyCredential(s.Endpoint()+"/"+s.Container, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := c.GetSASURL(p, until, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(signed, "?")
	return token
}

var all = sas.ContainerPermissions{Read: true, Add: true, Create: true, Write: true, Delete: true, List: true}

// Credentials are found by value, in files, and where the tools of Azure look.
func testCredentials(t *testing.T, s *servers.AzureServer) {
	token := signature(t, s, all, time.Now().Add(time.Hour))
	text := fmt.Sprintf("DefaultEndpointsProtocol=http;AccountName=%s;AccountKey=%s;BlobEndpoint=%s;", s.Account, s.Key, s.Endpoint())
	for name, set := range map[string]func(*testing.T, *azure.Config){
		"key":                func(_ *testing.T, c *azure.Config) { c.AccountKey = s.Key },
		"key's file":         func(t *testing.T, c *azure.Config) { c.AccountKeyFile = write(t, s.Key+"\n") },
		"signature":          func(_ *testing.T, c *azure.Config) { c.SAS = token },
		"signature with a ?": func(_ *testing.T, c *azure.Config) { c.SAS = "?" + token },
		"signature's file":   func(t *testing.T, c *azure.Config) { c.SASFile = write(t, token) },
		"connection string":  func(_ *testing.T, c *azure.Config) { c.ConnectionString, c.Account, c.Endpoint = text, "", "" },
		"connection string with a signature": func(_ *testing.T, c *azure.Config) {
			c.ConnectionString = "BlobEndpoint=" + s.Endpoint() + ";SharedAccessSignature=" + token
			c.Account, c.Endpoint = "", ""
		},
		"AZURE_STORAGE_KEY": func(t *testing.T, c *azure.Config) {
			t.Setenv("AZURE_STORAGE_ACCOUNT", s.Account)
			t.Setenv("AZURE_STORAGE_KEY", s.Key)
			c.Account = ""
		},
		"AZURE_STORAGE_SAS_TOKEN": func(t *testing.T, _ *azure.Config) { t.Setenv("AZURE_STORAGE_SAS_TOKEN", token) },
		"AZURE_STORAGE_CONNECTION_STRING": func(t *testing.T, c *azure.Config) {
			t.Setenv("AZURE_STORAGE_CONNECTION_STRING", text)
			c.Account, c.Endpoint = "", ""
		},
		"endpoint without the account": func(_ *testing.T, c *azure.Config) { c.AccountKey, c.Endpoint = s.Key, s.Process.Endpoint() },
	} {
		t.Run(name, func(t *testing.T) {
			alone(t)
			c := configure(s, "p")
			c.AccountKey = ""
			set(t, &c)
			be := open(t, c)
			put(t, be, "a", "x", backend.PutOptions{})
			wantText(t, be, "a", "x")
			if strings.Contains(be.Location(), s.Key) || strings.Contains(be.Location(), "sig=") {
				t.Errorf("Location %s holds a secret", be.Location())
			}
		})
	}
}

// Another account's secrets are not sent to this one.
func TestSecretsOfAnotherAccount(t *testing.T) {
	alone(t)
	t.Setenv("AZURE_STORAGE_ACCOUNT", "another")
	t.Setenv("AZURE_STORAGE_KEY", "aGVsbG8=")
	seen := tapped(nil)
	c := unserved(seen)
	c.AccountKey = ""
	withoutMachine(t)
	if _, err := open(t, c).Stat(shortly(t), "a"); err == nil {
		t.Error("the key of another account is taken")
	}
	if asked := seen.Take().Asked; len(asked) != 0 {
		t.Errorf("requests were made: %q", asked)
	}
}

// withoutMachine lets the chain of credentials find nothing on this machine, at once:
// neither a metadata service nor the login of a tool.
func withoutMachine(t *testing.T) {
	t.Helper()
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "WorkloadIdentityCredential")
}

func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestNoCredentials(t *testing.T) {
	alone(t)
	withoutMachine(t)
	c := azure.Config{Container: "backups", Account: "acc"}
	be, err := azure.Open(t.Context(), c)
	if err == nil {
		defer be.Close()
		err = be.Put(shortly(t), "a", nil, backend.PutOptions{})
	}
	hints := strings.Join(fault.Hints(err), "\n")
	if err == nil || !strings.Contains(hints, "AZURE_STORAGE_KEY") {
		t.Errorf("%v, hints %q; want where credentials are looked for", err, hints)
	}
}

func TestWrongCredentials(t *testing.T) {
	const secret = "hunter2hunter2hunter2"
	wrong := base64.StdEncoding.EncodeToString([]byte(secret))
	alone(t)
	for name, c := range map[string]azure.Config{
		"no base64":               {Account: "acc", AccountKey: secret + "!"},
		"no account":              {AccountKey: wrong},
		"no signature":            {Account: "acc", SAS: "sv=1&se=" + secret},
		"a broken signature":      {Account: "acc", SAS: "sig=%zz" + secret},
		"two kinds":               {Account: "acc", AccountKey: wrong, SAS: "sig=" + secret},
		"no string":               {Account: "acc", ConnectionString: secret},
		"a string without":        {Account: "acc", ConnectionString: "AccountKey=" + wrong + ";AccountName=other"},
		"a string with a key":     {ConnectionString: "AccountKey=" + wrong},
		"an endpoint with a key":  {Account: "acc", ConnectionString: "AccountKey=" + wrong + ";BlobEndpoint=https://x.y?sig=" + secret},
		"a missing file":          {Account: "acc", AccountKeyFile: filepath.Join(t.TempDir(), "none")},
		"an empty file":           {Account: "acc", SASFile: write(t, "\n")},
		"a customer key of 5":     {Account: "acc", AccountKey: wrong, CustomerKey: secret},
		"a customer key twice":    {Account: "acc", AccountKey: wrong, CustomerKey: secret, CustomerKeyFile: "x"},
		"a customer key's file":   {Account: "acc", AccountKey: wrong, CustomerKeyFile: write(t, secret)},
		"plain HTTP to a network": {Account: "acc", AccountKey: wrong, Endpoint: "http://blob.example.com"},
		"a CA file that is none":  {Account: "acc", AccountKey: wrong, CAFile: write(t, secret)},
	} {
		c.Container = "backups"
		_, err := azure.Open(t.Context(), c)
		if err == nil || len(fault.Hints(err)) == 0 {
			t.Errorf("%s: %v, hints %q", name, err, fault.Hints(err))
			continue
		}
		if text := err.Error() + strings.Join(fault.Hints(err), ""); strings.Contains(text, "hunter2") || strings.Contains(text, wrong) {
			t.Errorf("%s: the secret is in %q", name, text)
		}
	}
}

// Wrong keys and signatures are told by what they are, and never repeated.
func testRefusedCredentials(t *testing.T, s *servers.AzureServer) {
	const secret = "hunter2hunter2hunter2"
	for name, by := range map[string]struct {
		set  func(*azure.Config)
		says string
	}{
		"key": {func(c *azure.Config) { c.AccountKey = base64.StdEncoding.EncodeToString([]byte(secret)) }, "key is not that of " + s.Account},
		"signature": {func(c *azure.Config) {
			c.AccountKey, c.SAS = "", "sv=2024-11-04&sr=c&sp=rwdl&se=2099-01-01T00:00:00Z&sig="+secret
		}, "it says that it holds until 2099-01-01T00:00:00Z"},
		"signature by a policy": {func(c *azure.Config) {
			c.AccountKey, c.SAS = "", "sv=2024-11-04&sr=c&si=nightly&sig="+secret
		}, "its policy on the container"},
		"expired": {func(c *azure.Config) {
			c.AccountKey, c.SAS = "", signature(t, s, all, time.Now().Add(-time.Hour))
			c.Clock = &setClock{Clock: clock.System(), now: time.Now().Add(-2 * time.Hour)} // it was good then
		}, "the signature is wrong or was taken back"},
	} {
		c := configure(s, "p")
		by.set(&c)
		be := open(t, c)
		_, statErr := be.Stat(t.Context(), "a")
		for what, err := range map[string]error{
			"put": be.Put(t.Context(), "a", []byte("x"), backend.PutOptions{}), "stat": statErr,
			"list": be.List(t.Context(), "", nil), "delete": be.Delete(t.Context(), "a"),
		} {
			if !errors.Is(err, backend.ErrDenied) || len(fault.Hints(err)) == 0 {
				t.Errorf("%s, %s: %v, want ErrDenied with a hint", name, what, err)
				continue
			}
			text := err.Error() + strings.Join(fault.Hints(err), "")
			if strings.Contains(text, "hunter2") || strings.Contains(text, "sig=") && strings.Contains(text, "sv=") {
				t.Errorf("%s, %s: the secret is in %q", name, what, text)
			}
			if !strings.Contains(text, by.says) || strings.Contains(text, "network rules") {
				t.Errorf("%s, %s: %q, want %q and nothing of network rules", name, what, text, by.says)
			}
		}
	}
}

// setClock is a clock that a test sets.
type setClock struct {
	clock.Clock
	now time.Time
}

func (c *setClock) Now() time.Time { return c.now }

// A signature that has ended is told by its end: before anything is asked of the
// service, and when it ends in the middle of a run.
func testExpiredSignature(t *testing.T, s *servers.AzureServer) {
	end := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	told := "expired on " + end.Format(time.RFC3339)
	c := configure(s, "p")
	c.AccountKey, c.SAS = "", signature(t, s, all, end)
	_, err := azure.Open(t.Context(), c)
	wantExpired(t, "open", err, told)

	now := &setClock{Clock: clock.System(), now: end.Add(-time.Minute)}
	c.Clock = now
	be := open(t, c)
	now.now = end.Add(time.Second)
	_, err = be.Stat(t.Context(), "a")
	wantExpired(t, "stat", err, told)
	wantExpired(t, "put", be.Put(t.Context(), "a", []byte("x"), backend.PutOptions{}), told)
	wantExpired(t, "list", be.List(t.Context(), "", nil), told)
}

func wantExpired(t *testing.T, what string, err error, told string) {
	t.Helper()
	hints := strings.Join(fault.Hints(err), "\n")
	if !errors.Is(err, backend.ErrDenied) || !strings.Contains(err.Error(), told) || !strings.Contains(hints, "generate-sas") || strings.Contains(err.Error()+hints, "sig=") {
		t.Errorf("%s: %v, hints %q; want %q and how to make a new one", what, err, hints, told)
	}
}

// The end of a signature may be written in several ways; what is in none of them is for
// the service to judge.
func TestEndsOfSignatures(t *testing.T) {
	now := &setClock{Clock: clock.System(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	for end, expired := range map[string]bool{
		"2026-03-01T11:59:59Z": true, "2026-03-01T12:00:01Z": false, "2026-03-01T11:59Z": true, "2026-03-01T12:01Z": false, "2026-03-01": true, "2026-03-02": false,
		"2026-03-01T11:59:59.1234567Z": true, "": false, "soon": false,
	} {
		c := azure.Config{Container: "backups", Account: "acc", SAS: "sv=1&sig=aGk%3D&se=" + end, Clock: now}
		be, err := azure.Open(t.Context(), c)
		if err == nil {
			err = be.Close()
		}
		if errors.Is(err, backend.ErrDenied) != expired {
			t.Errorf("a signature until %q: %v", end, err)
		}
	}
}

// A server of an older protocol is told by what to do about it.
func TestEmulatorThatChecksVersions(t *testing.T) {
	s := servers.Azure(t, servers.CheckingVersions())
	_, err := open(t, configure(s, "p")).Get(t.Context(), "config", 0, -1)
	if hints := strings.Join(fault.Hints(err), "\n"); err == nil || !strings.Contains(hints, "--skipApiVersionCheck") {
		t.Errorf("%v, hints %q", err, hints)
	}
}

// A network failure shows the URL's host at most, since the signature is part of it.
func TestNoSignatureInNetworkErrors(t *testing.T) {
	c := azure.Config{Container: "backups", Account: "acc", Endpoint: "http://127.0.0.1:1", SAS: "sv=1&sig=hunter2"}
	be := open(t, c)
	_, getErr := be.Get(t.Context(), "a", 0, -1)
	for what, err := range map[string]error{
		"put": be.Put(t.Context(), "a", nil, backend.PutOptions{}), "get": getErr, "list": be.List(t.Context(), "", nil),
	} {
		wantTemporary(t, what, err)
		if strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("%s: the secret is in %q", what, err)
		}
	}
}

// Whoever may only write and read can put, get and sync: neither listing nor deleting is
// asked for.
func testRightsThatABackupNeeds(t *testing.T, s *servers.AzureServer) {
	c := configure(s, "p")
	c.AccountKey, c.SAS = "", signature(t, s, sas.ContainerPermissions{Read: true, Create: true, Write: true}, time.Now().Add(time.Hour))
	be := open(t, c)
	put(t, be, "a", "x", backend.PutOptions{IfAbsent: true, Sync: true})
	wantText(t, be, "a", "x")
	if err := be.Sync(t.Context(), []string{"a"}); err != nil {
		t.Error(err)
	}
	if err := be.Put(t.Context(), "a", nil, backend.PutOptions{IfAbsent: true}); !errors.Is(err, backend.ErrExists) {
		t.Errorf("a conditional put of a name that is taken: %v", err)
	}
	err := be.Delete(t.Context(), "a")
	if !errors.Is(err, backend.ErrDenied) || len(fault.Hints(err)) == 0 {
		t.Errorf("Delete without the right to: %v, want ErrDenied with a hint", err)
	}
	wantText(t, be, "a", "x")
}

// The machine's own identity is asked for a token, which goes along with requests
// and is asked for once.
func TestManagedIdentity(t *testing.T) {
	alone(t)
	var mu sync.Mutex
	status, asked := http.StatusOK, 0
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		if status != http.StatusOK {
			http.Error(w, "hunter2", status)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":"the-token","expires_on":"%d","resource":%q,"token_type":"Bearer"}`, time.Now().Add(time.Hour).Unix(), r.URL.Query().Get("resource"))
	}))
	defer host.Close()
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
	t.Setenv("IDENTITY_ENDPOINT", host.URL)
	t.Setenv("IDENTITY_HEADER", "hunter2")
	seen := tapped(func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return say(r, http.StatusNotFound, "BlobNotFound"), nil
	})
	c := unserved(seen)
	c.AccountKey = ""
	for code, temporary := range map[int]bool{http.StatusBadRequest: false, http.StatusForbidden: false} {
		mu.Lock()
		status = code
		mu.Unlock()
		_, err := open(t, c).Stat(shortly(t), "a")
		var may *backend.TemporaryError
		if errors.As(err, &may) != temporary || errors.Is(err, backend.ErrDenied) == temporary || strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("a token is answered with %d: %v", code, err)
		}
	}
	mu.Lock()
	status, asked = http.StatusOK, 0
	mu.Unlock()
	be := open(t, c)
	for range 2 {
		if _, err := be.Stat(t.Context(), "a"); !errors.Is(err, backend.ErrNotFound) {
			t.Fatal(err)
		}
	}
	requests, headers := taken(seen)
	if len(requests) != 2 || headers[1].Get("Authorization") != "Bearer the-token" || asked != 1 {
		t.Errorf("%d requests, tokens asked for %d times, Authorization %q", len(requests), asked, headers[0].Get("Authorization"))
	}
}
