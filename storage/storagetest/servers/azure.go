package servers

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mahavishnu/clock"
)

// The one account that azurite has unless told otherwise. The key is public.
const (
	azuriteAccount = "devstoreaccount1"
	azuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// AzureServer speaks the protocol of Azure Blob Storage.
type AzureServer struct {
	*Process
	// Account is the storage account, Key its key in base64. This account's name
	// is the first part of every path.
	Account, Key string
	// Container exists and is empty.
	Container string
}

// AzureOption changes how an Azure server is started.
type AzureOption func(args []string) []string

// CheckingVersions has the server refuse versions of the protocol that are newer than
// itself, as it does unless told otherwise.
func CheckingVersions() AzureOption {
	return func(args []string) []string {
		return slices.DeleteFunc(args, func(arg string) bool { return arg == skipVersions })
	}
}

// skipVersions is the server's flag for taking all versions of the protocol.
const skipVersions = "--skipApiVersionCheck"

// Azure starts an Azure server with one container.
func Azure(t testing.TB, options ...AzureOption) *AzureServer {
	t.Helper()
	main := filepath.Join(repository(t), "tools", "azurite", "node_modules", "azurite", "dist", "src", "blob", "main.js")
	if _, err := os.Stat(main); err != nil {
		t.Fatalf("the test server azurite is not there (%v): run .ci/packages in the root of the repository", err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("azurite needs node (%v): run .ci/packages in the root of the repository", err)
	}
	s := &AzureServer{Account: azuriteAccount, Key: azuriteKey, Container: "backups"}
	dir := directory(t, "objects")
	s.Process = begin(t, func(address string) *exec.Cmd {
		host, port, _ := strings.Cut(address, ":")
		args := []string{main, "--location", dir, "--blobHost", host, "--blobPort", port, "--silent", "--disableTelemetry", skipVersions}
		for _, option := range options {
			args = option(args)
		}
		return exec.Command(node, args...) //nolint:noctx // ended by Stop, which lets it finish what it writes
	})
	s.MakeContainer(s.Container)
	return s
}

// Endpoint returns the server's URL, the account being part of its path.
func (s *AzureServer) Endpoint() string { return s.Process.Endpoint() + "/" + s.Account }

// URL returns the location of a prefix in the container.
func (s *AzureServer) URL(prefix string) string { return s.Through(s.Process.Endpoint(), prefix) }

// Through returns the location of a prefix in the container, for requests that take
// their way through another endpoint, a URL without a path.
func (s *AzureServer) Through(endpoint, prefix string) string {
	q := url.Values{"endpoint": {endpoint + "/" + s.Account}, "account": {s.Account}}
	return "azblob://" + s.Container + "/" + prefix + "?" + q.Encode()
}

// MakeContainer makes another container.
func (s *AzureServer) MakeContainer(name string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPut, s.Endpoint()+"/"+name+"?restype=container", http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("X-Ms-Date", clock.System().Now().UTC().Format(http.TimeFormat))
	req.Header.Set("X-Ms-Version", "2024-11-04")
	// https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
	text := http.MethodPut + strings.Repeat("\n", 12) +
		"x-ms-date:" + req.Header.Get("X-Ms-Date") + "\nx-ms-version:" + req.Header.Get("X-Ms-Version") + "\n" +
		"/" + s.Account + req.URL.Path + "\nrestype:container"
	key, err := base64.StdEncoding.DecodeString(s.Key)
	if err != nil {
		s.t.Fatal(err)
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	req.Header.Set("Authorization", "SharedKey "+s.Account+":"+base64.StdEncoding.EncodeToString(h.Sum(nil)))
	call(s.t, req)
}
