internal import ArgumentParser
internal import Updraft
internal import UpdraftTLS

/// Whether to speak TLS, and as whom.
struct TLSOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Speak TLS: the certificate and its chain (PEM). SIGHUP reads both files again.",
            valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("The private key of --tls-cert (PEM).", valueName: "file"))
    var tlsKey: String?

    func validate() throws {
        guard (tlsCert == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-cert and --tls-key need each other.")
        }
    }

    func makeContext() throws -> TLSServerContext? {
        guard let tlsCert, let tlsKey else { return nil }
        return try TLSServerContext(certificate: .file(tlsCert), privateKey: .file(tlsKey))
    }

    static func serve(_ context: TLSServerContext, _ server: TCPServer) throws {
        server.useTLS(context)
        // One loop is enough: all of them share the context.
        let loop = server.loop
        guard loop.name == "loop-0" else { return }
        try loop.addSignalHandler(.sighup) {
            loop.spawn { await reload(context, loop) }
        }
    }

    private nonisolated(nonsending) static func reload(
        _ context: TLSServerContext, _ loop: IOLoop
    ) async {
        do {
            // Files may be slow.
            try await loop.runInExecutor { try context.reload() }
            StandardOutput.complain("echo-server: the certificate was read again")
        } catch {
            StandardOutput.complain("echo-server: the old certificate stays: \(error)")
        }
    }
}
