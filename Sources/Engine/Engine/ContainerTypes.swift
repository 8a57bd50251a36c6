import Containers

// Containers and Networks each have an `AttachRequest` and a `PortBinding` of their own; where both are spoken, these are the names.
// (A module that is named as a class in it can't qualify.)
typealias ContainerPortBinding = PortBinding
