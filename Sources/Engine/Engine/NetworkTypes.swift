import Networks

// See ContainerTypes.swift.
typealias NetworkPortBinding = PortBinding
typealias NetworkAttachRequest = AttachRequest
