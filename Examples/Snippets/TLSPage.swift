import Updraft
import UpdraftTLS

// The code of docs/tls.md.

func serveWithTLS() {
    IOLoop.main { loop in
        let tls = try TLSServerContext(
            certificate: .file("server.pem"), privateKey: .file("server.key"))
        let server = TCPServer(port: 7443)
        server.useTLS(tls)
        try await server.serve(until: .terminationSignals) { stream in
            for try await chunk in stream.chunks { try await stream.write(chunk) }
        }
    }
}

nonisolated(nonsending) func connectWithTLS() async throws {
    let tls = try TLSClientContext()  // once, for all connections
    let stream = try await TCPClient.connect(host: "example.org", port: 443, tls: tls)
    try await stream.write("HEAD / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n")
    print(try await stream.read(until: "\r\n"), stream.tls?.version ?? "")
}

nonisolated(nonsending) func serveMail(_ stream: IOStream, _ tls: TLSServerContext) async throws {
    _ = try await stream.read(until: "STARTTLS\r\n")
    try await stream.write("220 go ahead\r\n")
    try await stream.startTLS(server: tls)
    // The same stream, encrypted from here on.
}

func manyNames() throws -> TLSServerContext {
    var options = TLSServerOptions(identities: [
        TLSIdentity(certificate: .file("a.example.pem"), privateKey: .file("a.example.key")),
        TLSIdentity(certificate: .file("b.example.pem"), privateKey: .file("b.example.key")),
    ])
    options.applicationProtocols = ["h2", "http/1.1"]
    options.clientCertificates = .optional(.certificates(.file("clients-ca.pem")))
    return try TLSServerContext(options)
}

func reloadOnSignal(_ loop: IOLoop, _ tls: TLSServerContext) throws {
    try loop.addSignalHandler(.sighup) {
        // It reads files: on a thread of the loop's pool.
        loop.spawn { try await loop.runInExecutor { try tls.reload() } }
    }
}

nonisolated(nonsending) func readAnswer(_ stream: IOStream) async throws -> [UInt8] {
    do {
        return try await stream.readToEnd()
    } catch let error as StreamError where error.tls?.code == .truncated {
        return []  // somebody cut the connection: what came so far is no answer
    }
}
