// go_http: an HTTP server and client of the standard library alone, for e2e/trap; a static program, whose
// system calls no preloaded library sees.
//
//	go_http serve ADDRESS FOLDER      GET /NAME: a file of FOLDER. POST /: the SHA-256 of the body. GET /peer: who asks.
//	go_http get URL                   the body to standard output
//	go_http post URL FILE             FILE as the body; the answer to standard output
//	go_http refused ADDRESS           succeeds when nobody listens there
package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "go_http:", err)
		os.Exit(1)
	}
}

func serve(address, folder string) {
	files := http.FileServer(http.Dir(folder))
	http.HandleFunc("/peer", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s\n", r.RemoteAddr, r.Context().Value(http.LocalAddrContextKey))
	})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			files.ServeHTTP(w, r)
			return
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%x\n", sum.Sum(nil))
	})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	l, err := net.Listen("tcp", address)
	check(err)
	go func() {
		<-stop
		os.Exit(3)
	}()
	fmt.Println("listening on", l.Addr())
	check(http.Serve(l, nil))
}

func answer(r *http.Response, err error) {
	check(err)
	if r.StatusCode != http.StatusOK {
		check(errors.New(r.Status))
	}
	_, err = io.Copy(os.Stdout, r.Body)
	check(err)
}

func main() {
	switch {
	case len(os.Args) == 4 && os.Args[1] == "serve":
		serve(os.Args[2], os.Args[3])
	case len(os.Args) == 3 && os.Args[1] == "get":
		answer(http.Get(os.Args[2]))
	case len(os.Args) == 4 && os.Args[1] == "post":
		file, err := os.Open(os.Args[3])
		check(err)
		answer(http.Post(os.Args[2], "application/octet-stream", file))
	case len(os.Args) == 3 && os.Args[1] == "refused":
		_, err := net.Dial("tcp", os.Args[2])
		if !errors.Is(err, syscall.ECONNREFUSED) {
			check(fmt.Errorf("not refused: %v", err))
		}
	default:
		check(errors.New("wrong arguments"))
	}
}
